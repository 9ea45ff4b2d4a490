"""A point: a case with the key it is stored under. Equal keys mean equal results.

The key is the SHA-256 of what decides a result: the trace's content, the design (its canonical name
and keys, and the source of one from outside the package; of an assignment its name, rules and
designs), the array, the memory's content, keep_8bit and how, the report's schema, and the package:
its version and a digest of its sources. Paths are not part of it, so a store can move, and so can a
trace. The digest is there for those who change the simulator: results of the code as it was must
not stand for those of the code as it is. The engine, how layers stay at 8 bits, and what designs of
unsigned activations do with int8 layers are part of it only where they are not what they were
before they could be chosen (`EARLIER`): what was stored then holds.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sparqsim.array.config import ArrayConfig
from sparqsim.array.registry import get_dataflow
from sparqsim.base.errors import InputError, printable
from sparqsim.base.version import VERSION
from sparqsim.engine.assignment import Assignment
from sparqsim.engine.models import EngineModel
from sparqsim.results.report import REPORT_SCHEMA
from sparqsim.sweep.case import ACCELERATOR_FILE, Case
from sparqsim.trace import load_trace

#: What rows say that were stored before it could be chosen.
EARLIER = {"engine": "fast", "kept": "ideal", "signed": "refuse"}
#: What facts of gathers call them; those of simulations say nothing.
GATHER = "gather"
#: What of the package can change a result: rooms, and how a case is run.
DECIDES_RESULTS = (
    "base",
    "quantise",
    "gather",
    "trace",
    "pe",
    "array",
    "memory",
    "event",
    "results",
    "cost",
    "engine",
    "sweep/case.py",
    "sweep/gathers.py",
    "sweep/passes.py",
)


@dataclass(frozen=True)
class Point:
    """A case, its key, and `facts`: what the key is made of, and names to show, as JSON values."""

    case: Any
    key: str
    facts: dict[str, Any]

    @property
    def is_gather(self) -> bool:
        """Whether it is one of gathers, no simulation of a trace."""
        return self.facts.get("kind") == GATHER


class Planner:
    """Makes points of cases, reading every trace and design once.

    Parameters
    ----------
    trace_sha256 : dict of str to str, optional
        Digests of traces that are known already, by path.
    """

    def __init__(self, trace_sha256: dict[str, str] | None = None) -> None:
        self._traces = dict(trace_sha256 or {})
        self._layers: dict[str, tuple[str, ...]] = {}
        self._designs: dict[str, tuple[str, str]] = {}
        self._accelerators: dict[Case, dict[str, Any]] = {}

    def points(self, cases: Iterable[Case]) -> list[Point]:
        """Return the points of `cases`, each key once.

        Raises InputError for a name or file that is not there.
        """
        points = (self.point(case) for case in cases)
        return list({point.key: point for point in points}.values())

    def point(self, case: Case) -> Point:
        """Return the point of one case."""
        spec, source = self._design(case)
        decisive = {
            "trace_sha256": self._trace(case.trace),
            "pe": spec,
            "pe_source_sha256": source,
            **self._accelerator(case),
            "all_layers": case.all_layers,
            "schema": REPORT_SCHEMA,
            "version": VERSION,
            "sources_sha256": package_digest(),
            **_energy(case),
        }
        chosen = {name: getattr(case, name) for name in EARLIER}
        decisive |= {name: value for name, value in chosen.items() if value != EARLIER[name]}
        key = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
        names = {
            "trace": printable(Path(case.trace).name),
            "memory": shown_memory(case.memory),
        }
        return Point(case, key, decisive | chosen | names)

    def layer_names(self, path: str) -> tuple[str, ...]:
        """Return the names of the layers of a trace that a case named."""
        self._trace(path)
        return self._layers[path]

    def _trace(self, path: str) -> str:
        if path not in self._traces:
            trace = load_trace(path)
            self._traces[path] = trace.sha256
            self._layers[path] = tuple(layer.name for layer in trace.layers)
        return self._traces[path]

    def _design(self, case: Case) -> tuple[str, str]:
        if case.pe not in self._designs:
            run = case.assignment()
            found = run.spec, assignment_digest(run)
            for spec, digest in self._designs.values():
                if run.own_rules and spec == found[0] and digest != found[1]:
                    raise InputError(
                        f"{case.pe!r}: another assignment is called {spec!r}, too; expected names "
                        "that tell them apart"
                    )
            self._designs[case.pe] = found
        return self._designs[case.pe]

    def _accelerator(self, case: Case) -> dict[str, Any]:
        accelerator = case.model_copy(update={"trace": "", "pe": ""})
        if accelerator not in self._accelerators:
            array, memory = case.accelerator()
            # Infinite bandwidth has no JSON; repr is exact for every number.
            content = "" if memory is None else repr(sorted(asdict(memory).items()))
            self._accelerators[accelerator] = (
                asdict(array) | dataflow_facts(array) | {"memory_config": content}
            )
        return self._accelerators[accelerator]


def _energy(case: Case) -> dict[str, Any]:
    """Return the energy table's name and the digest of its file; nothing where none is named."""
    if not case.energy:
        return {}
    from sparqsim.cost.table import load_table

    table = load_table(case.energy)
    digest = hashlib.sha256(table.to_json().encode()).hexdigest()
    return {"energy": table.name, "energy_sha256": digest}


def dataflow_facts(array: ArrayConfig) -> dict[str, Any]:
    """Return the dataflow's name, and the source of one from outside the package, as facts."""
    flow = get_dataflow(array.dataflow)
    source = class_source_digest(type(flow), f"dataflow {flow.name!r}")
    return {"dataflow": flow.name} | ({"dataflow_source_sha256": source} if source else {})


def shown_memory(source: str) -> str:
    """Return the name of a preset, or that of an accelerator file without its folder."""
    return printable(Path(source).name) if ACCELERATOR_FILE.fullmatch(source) else source


def assignment_digest(run: Assignment) -> str:
    """Return what tells an assignment from others of its name: the source of one design; of
    several, the SHA-256 of their rules and sources.
    """
    sources = [source_digest(model) for model in run.models]
    if not run.own_rules:
        return sources[0]
    rules = [(rule.match, rule.model.spec) for rule in run.own_rules]
    content = json.dumps([run.default.spec, rules, sources])
    return hashlib.sha256(content.encode()).hexdigest()


def source_digest(model: EngineModel) -> str:
    """Return the SHA-256 of the file a design or engine from outside the package is in, '' for the
    package's own.

    Files that it imports are not followed. Of a design on an engine from outside, both count.
    """
    parts = (type(model),) if model.pe is None else (type(model.pe), type(model))
    digests = [class_source_digest(part, f"PE design {model.spec!r}") for part in parts]
    return "+".join(filter(None, digests))


def class_source_digest(kind: type, what: str) -> str:
    """Return the same of a class; `what` names it in errors."""
    if kind.__module__.startswith("sparqsim."):
        return ""
    try:
        return hashlib.sha256(Path(inspect.getfile(kind)).read_bytes()).hexdigest()
    except (OSError, TypeError) as error:
        raise InputError(
            f"{what}: its source cannot be read ({error}); expected a .py file, so "
            "that its results can be told from those of another version"
        ) from None


@cache
def package_digest() -> str:
    """Return the SHA-256 of those of the package's sources that can change a result."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if name.parts[0] in DECIDES_RESULTS or name.as_posix() in DECIDES_RESULTS:
            digest.update(name.as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()

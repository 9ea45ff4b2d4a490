"""Assignments: which design runs which layer.

Everything that is simulated is an assignment: a design alone is one without rules of its own. A
layer runs on what the first rule that takes it names, else on the default. Layers marked keep_8bit
run on the default's circuit as `kept_run` says, or, if that is what was asked for, on `KEPT`;
unless a rule of the assignment's own takes them: that rule stands behind the others and before the
default.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol, TypeAlias, get_args

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError, nearest, shown
from sparqsim.base.parse import name_fault
from sparqsim.base.plugins import named_file, names_a_file, refuse_code
from sparqsim.engine.assignment_file import AssignmentFile
from sparqsim.engine.models.base import KEPT, EngineModel
from sparqsim.engine.models.kept import kept_run
from sparqsim.engine.models.registry import get_model, known_names
from sparqsim.pe.base import PEDesign
from sparqsim.pe.signs import REFUSE, Signed, by_magnitude, checked_signed
from sparqsim.results.setting import HONEST, AssignedLayers, AssignmentInfo, Kept, PEInfo
from sparqsim.trace import Layer, Trace

#: What begins a name that stands for a file with an assignment: '@FILE.toml'.
SIGN = "@"
REMEDY = "--trust, for files that you have read"


class Marked(Protocol):
    """What rules look at: a layer of a trace has it, and one of a network without values."""

    @property
    def name(self) -> str:
        """The layer's name."""

    @property
    def keep_8bit(self) -> bool:
        """Whether it is marked to stay at 8 bits."""


@dataclass(frozen=True)
class Rule:
    """Layers that run on `model`: those whose name the shell pattern `match` describes."""

    match: str
    model: EngineModel

    def takes(self, layer: Marked) -> bool:
        """Return whether the rule is for a layer."""
        return fnmatchcase(layer.name, self.match)

    def run(self, layer: Layer) -> EngineModel:
        """Return what runs a layer of the rule, ready for it."""
        return self.model.bound_to(layer)


@dataclass(frozen=True)
class KeptAt8Bit(Rule):
    """Layers marked keep_8bit in the trace, whatever their names."""

    def takes(self, layer: Marked) -> bool:
        """Return whether the layer is marked."""
        return layer.keep_8bit


@dataclass(frozen=True)
class KeptOnCircuit(KeptAt8Bit):
    """The same, on the circuit of `model`, as its design says."""

    def run(self, layer: Layer) -> EngineModel:
        """Return what runs a marked layer."""
        return kept_run(self.model, layer)


Model: TypeAlias = str | PEDesign | EngineModel


@dataclass(frozen=True, init=False)
class Assignment:
    """Which design, or engine, runs which layer.

    Parameters
    ----------
    default : str, PEDesign or EngineModel
        What runs the layers that no rule takes.
    rules : sequence of Rule, or of pairs (shell pattern on a layer's name, model)
        The first one that takes a layer decides.
    name : str
        What results call it.
    signed : {'refuse', 'magnitude'}
        What designs of unsigned activations do with int8 layers: with 'magnitude', those that have
        the key `signed` run such layers with `signed=magnitude`.

    Raises
    ------
    InputError
        For a name that cannot be one, or is a design's.
    """

    default: EngineModel
    rules: tuple[Rule, ...] = ()
    name: str = "assignment"
    signed: Signed = REFUSE

    def __init__(
        self,
        default: Model,
        rules: Iterable[Rule | tuple[str, Model]] = (),
        name: str = "assignment",
        signed: str = REFUSE,
    ) -> None:
        made = tuple(
            rule if isinstance(rule, Rule) else Rule(rule[0], get_model(rule[1])) for rule in rules
        )
        if fault := _name_fault(name):
            raise InputError(f"assignment name={shown(name)}: {fault}")
        values = {
            "default": get_model(default),
            "rules": made,
            "name": name,
            "signed": checked_signed(signed),
        }
        for field_name, value in values.items():
            object.__setattr__(self, field_name, value)
        if self.own_rules and "," in name:
            raise InputError(
                f"assignment name={name!r}: commas separate names, expected none in it"
            )
        if self.own_rules and name.partition(":")[0] in known_names():
            raise InputError(
                f"assignment name={name!r}: a PE design is called so, expected a name of its own"
            )

    @classmethod
    def of(cls, model: EngineModel) -> Assignment:
        """Return the assignment of one design to all layers, called as the design is."""
        return cls(model, name=model.spec)

    def bound(self, layer: Layer) -> EngineModel:
        """Return what runs a layer, ready for it: whatever runs layers runs this."""
        rule = self.rule_for(layer)
        if isinstance(rule, KeptAt8Bit):
            return rule.run(layer)
        model = self.default if rule is None else rule.model
        return (self._taking_signed(model) if layer.signed else model).bound_to(layer)

    def taking_signed(self, design: PEDesign) -> PEDesign:
        """Return one of its designs as it runs layers of int8 activations."""
        return design if self.signed == REFUSE else by_magnitude(design)

    def _taking_signed(self, model: EngineModel) -> EngineModel:
        """Return what runs layers of int8 activations in the place of one of the models."""
        if model.pe is None:
            return model
        design = self.taking_signed(model.pe)
        return model if design is model.pe else get_model(design)

    def design(self, layer: Marked) -> EngineModel:
        """Return what runs a layer, as the user named it."""
        rule = self.rule_for(layer)
        return self.default if rule is None else rule.model

    def rule_for(self, layer: Marked) -> Rule | None:
        """Return the rule that decides for a layer, None for the default."""
        return next((rule for rule in self.rules if rule.takes(layer)), None)

    def keeps(self, layer: Layer) -> bool:
        """Return whether a layer runs as it does only because it is marked keep_8bit."""
        return isinstance(self.rule_for(layer), KeptAt8Bit) and self.default.pe is not None

    def keeping_8bit(self, kept: str = HONEST) -> Assignment:
        """Return the same with layers marked keep_8bit on the circuit of the default, or, with
        'ideal', on `KEPT`.

        A default that is no array of PEs runs them itself.

        Raises
        ------
        InputError
            For another `kept`.
        """
        ideal = checked_kept(kept) != HONEST and self.default.pe is not None
        what = "layers marked keep_8bit"
        rule = KeptAt8Bit(what, get_model(KEPT)) if ideal else KeptOnCircuit(what, self.default)
        return Assignment(self.default, (*self.rules, rule), self.name, self.signed)

    def with_signed(self, signed: str) -> Assignment:
        """Return the same with another `signed`. Raises InputError for what it cannot be."""
        return Assignment(self.default, self.rules, self.name, signed)

    @property
    def spec(self) -> str:
        """What results call it: its name; the design's where one runs all layers."""
        return self.name if self.own_rules else self.default.spec

    @property
    def own_rules(self) -> tuple[Rule, ...]:
        """The rules that are not the one for layers marked keep_8bit."""
        return tuple(rule for rule in self.rules if not isinstance(rule, KeptAt8Bit))

    @property
    def models(self) -> tuple[EngineModel, ...]:
        """All designs and engines but for layers marked keep_8bit, once; the default first."""
        return tuple(dict.fromkeys([self.default, *(rule.model for rule in self.own_rules)]))

    def info(self, array: ArrayConfig, layers: Iterable[Layer] = ()) -> PEInfo:
        """Return what reports say of it; of one design for all layers, what they say of the
        design, ready for those of `layers` that it runs.
        """
        lanes: dict[EngineModel, list[int]] = {}
        kept: dict[EngineModel, list[int]] = {}
        for layer in layers:
            found = (kept if self.keeps(layer) else lanes).setdefault(self.design(layer), [])
            found.append(self.bound(layer).capacity(array).lanes)
        infos = [
            _with_lanes(model.info(array), lanes.get(model, []), kept.get(model, []))
            for model in self.models
        ]
        if not self.own_rules:
            return infos[0]
        rules = [AssignedLayers(match=rule.match, pe=rule.model.spec) for rule in self.own_rules]

        def most(field: str) -> Any:
            """Return the largest of what its designs have; True where one is."""
            return max(getattr(info, field) for info in infos)

        return PEInfo(
            name=self.name,
            spec=self.name,
            lanes=most("lanes"),
            multipliers=most("multipliers"),
            cycles_depend_on_values=most("cycles_depend_on_values"),
            times_itself=most("times_itself"),
            real_valued=most("real_valued"),
            assignment=AssignmentInfo(default=self.default.spec, layers=tuple(rules)),
        )

    def check(self, trace: Trace) -> None:
        """Raise InputError for a rule that takes no layer of the trace."""
        for rule in self.own_rules:
            if not any(rule.takes(layer) for layer in trace.layers):
                names = [layer.name for layer in trace.layers]
                raise InputError(
                    f"assignment {self.name!r}: match={shown(rule.match)} is of no layer of the "
                    f"trace{nearest(rule.match, names)}; expected a shell pattern on a layer's "
                    f"name, e.g. {names[0]!r}"
                )


def _name_fault(name: object) -> str:
    """Return why an assignment cannot be called `name`, '' where it can."""
    if not isinstance(name, str) or not name:
        return "expected a text"
    if name.startswith(SIGN):
        return f"names of files begin with {SIGN!r}, expected a name that does not"
    return name_fault(name)


def checked_kept(kept: str) -> Kept:
    """Return `kept` if it is a way to run layers marked keep_8bit. Raises InputError."""
    for way in get_args(Kept):
        if kept == way:
            return kept  # type: ignore[return-value] # one of them
    raise InputError(f"kept={shown(kept)}: expected {' or '.join(map(repr, get_args(Kept)))}")


Runnable: TypeAlias = str | PEDesign | EngineModel | Assignment


def _with_lanes(info: PEInfo, lanes: list[int], kept: list[int]) -> PEInfo:
    """Return what reports say of a model with the most lanes of a layer.

    The circuit may run a layer that it keeps at 8 bits on fewer, which are not its own.
    """
    return info.model_copy(update={"lanes": max([*(lanes or [info.lanes]), *kept])})


def assigned(pe: Runnable, *, trust: bool = False) -> Assignment:
    """Return the assignment that a name, a design, an engine or '@FILE.toml' stands for.

    `trust`: whether the file may name Python source, which is run.
    """
    if isinstance(pe, Assignment):
        return pe
    file = assignment_file(pe)
    return Assignment.of(get_model(pe)) if file is None else load_assignment(file, trust=trust)


def names_of(runs: Iterable[Assignment]) -> list[str]:
    """Return what results call each assignment. Raises InputError for a name that stands twice."""
    names = [run.spec for run in runs]
    if len(set(names)) < len(names):
        raise InputError(f"pes={', '.join(names)}: a design is named twice, expected each once")
    return names


def assignment_file(pe: object) -> str | None:
    """Return the file of '@FILE.toml', None for anything else."""
    return pe[len(SIGN) :] if isinstance(pe, str) and pe.startswith(SIGN) else None


def file_of(pe: object) -> str | None:
    """Return the file that a name is read from, None for a plain name, or no name."""
    return (assignment_file(pe) or named_file(pe)) if isinstance(pe, str) else None


def load_assignment(path: str | Path, *, trust: bool = False) -> Assignment:
    """Return the assignment of a TOML file; see `AssignmentFile`.

    Parameters
    ----------
    path : str or Path
    trust : bool
        Whether the file may name designs FILE.py:CLASS, taken from its own folder, whose code is
        then run.

    Raises
    ------
    InputError
        Naming the file, the field and the value.
    """
    if not str(path):
        raise InputError(f"{SIGN!r}: no file is named, expected {SIGN}FILE.toml")
    file = AssignmentFile.read(path)
    specs = (file.default, *(table.pe for table in file.layers))
    found = {spec: _named_in(spec, Path(path), trust=trust) for spec in dict.fromkeys(specs)}
    rules = [(table.match, found[table.pe]) for table in file.layers]
    try:
        return Assignment(found[file.default], rules, name=file.name)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _named_in(spec: str, path: Path, *, trust: bool) -> EngineModel:
    """Return what a name in a file stands for; a file of Python is taken from its folder."""
    if names_a_file(spec):
        if not trust:
            refuse_code(spec, "PE design", str(path), REMEDY)
        spec = str(path.parent / spec)
    try:
        return get_model(spec)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None

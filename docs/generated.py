"""Pages that are made from the code when the site is built: command line, PE designs, JSON."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import typer
from typer.cli import get_docs_for_click

from sparqsim.array.timing import supported_dataflows
from sparqsim.base.keys import key_choices
from sparqsim.cli.app import app
from sparqsim.cli.help import in_users_words
from sparqsim.pe import PEDesign
from sparqsim.pe.registry import at_defaults, designs
from sparqsim.quantise import calibrate
from sparqsim.results.schemas import schema_files


def command_line() -> str:
    """Return every command, its arguments and options, as `--help` shows them."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="sparqsim")
    text = get_docs_for_click(obj=command, ctx=context, indent=1, name="sparqsim")
    # The lists of subcommands cut their texts short; the subcommands follow anyway.
    text = in_users_words(text)
    return re.sub(r"\*\*Commands\*\*:\n\n(\* .*\n)+\n", "", text).replace(
        "```console\n$ ", "```text\n"
    )


def pe_designs() -> str:
    """Return every design that ships: what its circuit does and where the rule comes from, and its
    numbers.
    """
    by_module: dict[str, list[type[PEDesign]]] = {}
    for design in designs().values():
        by_module.setdefault(design.__module__, []).append(design)
    return "\n".join(
        line for module, family in by_module.items() for line in _family(module, family)
    )


def _family(module: str, family: list[type[PEDesign]]) -> Iterator[str]:
    first, _, rest = (inspect.getdoc(sys.modules[module]) or "").partition("\n\n")
    yield f"## {', '.join(f'`{design.name}`' for design in family)}\n"
    yield f"{first}\n\n{rest}\n"
    for design in family:
        if len(family) > 1:
            yield f"### `{design.name}`\n"
        yield f"{inspect.getdoc(design)}\n"
        yield "| | |\n|---|---|"
        yield from (f"| {name} | {value} |" for name, value in _facts(design))
        yield ""


def _facts(kind: type[PEDesign]) -> Iterator[tuple[str, object]]:
    design = at_defaults(kind)
    yield "pairs per step", design.lanes
    yield "cycles per step", _step_cycles(design)
    yield (
        "signed activations",
        "yes" if design.signed_activations else "refused, unless a key says otherwise",
    )
    if design.exact:
        yield "exact", "yes"
    yield "registers at the edge, cycles", design.edge_cycles
    yield "dataflows", ", ".join(supported_dataflows(design))
    for key, (default, accepted) in key_choices(kind).items():
        yield f"key `{key}`", f"{accepted.replace('|', 'or')} (default `{default}`)"


def _step_cycles(design: PEDesign | type[PEDesign]) -> str:
    most = design.most_step_cycles
    if design.runs_on == "queue-array":
        return "by its queues"
    if design.cost == "shape":
        return f"{most}, the same for all steps of a layer"
    return "1" if most == 1 else f"1 to {most}"


def calibrators() -> str:
    """Return what `sparqsim.quantise.calibrate` says of itself."""
    return inspect.getdoc(calibrate) or ""


def json_schemas() -> str:
    """Return the records of `report.json` and `comparison.json`, field by field."""
    schemas = [json.loads(text) for text in schema_files().values()]
    records: dict[str, Any] = {}
    for schema in schemas:
        records |= {schema["title"]: schema} | schema.get("$defs", {})
    return "\n".join(
        line for name, record in sorted(records.items()) for line in _record(name, record)
    )


def _record(name: str, record: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    yield f"{record.get('description', '')}\n"
    if "properties" not in record:
        yield f"One of {', '.join(f'`{value}`' for value in record.get('enum', []))}.\n"
        return
    yield "| field | type | meaning |\n|---|---|---|"
    for field, what in sorted(record["properties"].items()):
        yield f"| `{field}` | {_type(what)} | {' '.join(what.get('description', '').split())} |"
    yield ""


def _type(what: Mapping[str, Any]) -> str:
    if "$ref" in what:
        name = what["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in what:
        return " or ".join(map(_type, what["anyOf"]))
    if "const" in what:
        return f"`{what['const']}`"
    if what.get("type") == "array":
        return f"list of {_type(what.get('items', {}))}"
    if isinstance(what.get("additionalProperties"), dict):
        return f"object of {_type(what['additionalProperties'])}"
    return str(what.get("type", "any"))


PAGES: Mapping[str, Callable[[], str]] = {
    "command line": command_line,
    "pe designs": pe_designs,
    "calibrators": calibrators,
    "json schemas": json_schemas,
}

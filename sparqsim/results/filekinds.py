"""What a file holds, told by its first bytes or its field `schema`: for the line that refuses it.

Results come in several kinds of files, and a command takes some of them. Whoever gives it another
one learns what the file is, what was expected, and which command takes it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from sparqsim.base.errors import InputError, shown
from sparqsim.base.limits import RESULT_BYTES
from sparqsim.base.textfile import json_of, read_text

SQLITE_MAGIC = b"SQLite format 3\0"
#: A safetensors file begins with the length of its header, eight bytes, and the header is JSON.
LENGTH_BYTES = 8


@dataclass(frozen=True)
class Kind:
    """A kind of file: what it is, and what can be done with it."""

    what: str
    use: str


TRACE = Kind("a trace", "`sparqsim simulate` and `sparqsim compare` make results of it")
STORE = Kind(
    "a store of `sparqsim sweep`",
    "`sparqsim plot` takes it with --kind array-size, k, zero-fraction or bandwidth",
)
#: By the name in the field `schema`, 'sparqsim.NAME/VERSION'.
JSON_KINDS: Mapping[str, Kind] = {
    "report": Kind("the report of one design", "`sparqsim report` and `sparqsim plot` take it"),
    "comparison": Kind("a comparison", "`sparqsim report` and `sparqsim plot` take it"),
    "accuracy": Kind(
        "an accuracy record",
        "`sparqsim report` takes it, and `sparqsim plot --kind pareto` one of them alone",
    ),
    "bandwidth": Kind(
        "the curves of `sparqsim bandwidth`", "`sparqsim plot --kind bandwidth` takes one such file"
    ),
    "energy_reference": Kind(
        "a gate-level record of `sparqsim rtl energy`",
        "`sparqsim rtl fit` makes an energy table of it",
    ),
    "energy_table": Kind(
        "an energy table", "`sparqsim simulate` and `sparqsim compare` take it with --energy"
    ),
    "prediction": Kind(
        "a prediction", "no command reads it; `sparqsim.results.prediction.Prediction.load` does"
    ),
    "card": Kind("a quantization card", "`sparqsim card show` and `sparqsim card diff` take it"),
    "card_diff": Kind(
        "what quantization cards differ in",
        "no command reads it; `sparqsim.results.confounds.CardDiff.load` does",
    ),
    "search": Kind(
        "the record of a search",
        "`sparqsim plot --kind pareto` takes one of them alone",
    ),
    "gather": Kind(
        "the record of `sparqsim gather`",
        "`sparqsim report` takes it, and `sparqsim plot --kind gather` one of them alone",
    ),
    "area": Kind(
        "an area table",
        "`sparqsim compare --iso area` and `sparqsim rtl area` take it with --areas",
    ),
}


def kind_of_bytes(path: str | Path) -> Kind | None:
    """Return the kind of a file that is no text, None for others and for those that cannot be
    read.
    """
    try:
        with Path(path).open("rb") as file:
            head, size = file.read(len(SQLITE_MAGIC)), file.seek(0, 2)
    except OSError:
        return None
    if head == SQLITE_MAGIC:
        return STORE
    header_bytes = int.from_bytes(head[:LENGTH_BYTES], "little")
    is_trace = head[LENGTH_BYTES : LENGTH_BYTES + 1] == b"{" and header_bytes <= size - LENGTH_BYTES
    return TRACE if is_trace else None


def result_text(path: str | Path, accepted: Collection[str], expected: str) -> tuple[str, str]:
    """Return the text of a JSON file and its `schema`.

    Parameters
    ----------
    path : str or Path
    accepted : collection of str
        The schemas that will do.
    expected : str
        What they are, in words: the end of 'expected ...'.

    Raises
    ------
    InputError
        For a file of another kind: what it is, what was expected, which command takes it.
    """
    kind = kind_of_bytes(path)
    if kind is not None:
        raise InputError(f"{path}: {kind.what}, expected {expected}; {kind.use}")
    text = read_text(path, expected, RESULT_BYTES)
    document = json_of(text, path, expected)
    schema = document.get("schema") if isinstance(document, dict) else None
    if not isinstance(schema, str) or schema not in accepted:
        raise InputError(
            f"{path}: {_refused(schema, accepted)}, expected {expected}{_use(schema, accepted)}"
        )
    return text, schema


def is_of_schema(path: str | Path, family: str) -> bool:
    """Return whether a file is JSON with a schema of `family`, as 'sparqsim.networks.accuracy'.

    What cannot be read is not: whoever reads it says what is wrong.
    """
    try:
        document = json_of(read_text(path, limit=RESULT_BYTES), path)
    except InputError:
        return False
    return isinstance(document, dict) and str(document.get("schema")).startswith(family + "/")


def _refused(schema: object, accepted: Collection[str]) -> str:
    if _is_other_version(schema, accepted):
        return (
            f"schema={shown(schema)}, of another version of sparqsim (this one reads "
            f"{', '.join(sorted(accepted))})"
        )
    kind = _kind(schema)
    return (
        f"schema={shown(schema)}, no result of sparqsim"
        if kind is None
        else f"{kind.what} (schema={schema!r})"
    )


def _use(schema: object, accepted: Collection[str]) -> str:
    kind = _kind(schema)
    return "" if kind is None or _is_other_version(schema, accepted) else f"; {kind.use}"


def _is_other_version(schema: object, accepted: Collection[str]) -> bool:
    return str(schema).partition("/")[0] in {known.partition("/")[0] for known in accepted}


def _kind(schema: object) -> Kind | None:
    family, _, name = str(schema).partition("/")[0].partition(".")
    return JSON_KINDS.get(name) if family == "sparqsim" else None

"""Liberty files as text: one library out of several files, and the corner that it is of.

Some libraries come in files by kind of cell (ASAP7: inverters, simple gates, flip-flops). Tools
that take one file take them merged: cells of all, and before them the table templates of all, since
tables of each file refer to its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparqsim.base.errors import InputError

#: Of a library's text: comments may be in any.
ENCODING = "latin-1"
_TOKENS = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\]|\\.)*"|[{};]', re.DOTALL)
_HEAD = re.compile(r"\s*(\w+)\s*(?:\(([^)]*)\))?\s*(.*)", re.DOTALL)
_LIBRARY = re.compile(r"\blibrary\s*\([^)]*\)\s*\{")
#: Statements that every figure of a library stands on.
_BINDING = re.compile(r".*_unit|.*_threshold_pct_.*|nom_.*|slew_derate.*|default_operating_.*")
#: Groups that others refer to by their names.
_NAMED = re.compile(r"cell|operating_conditions|.*_template")
_CORNER = ("process", "voltage", "temperature")


@dataclass(frozen=True)
class _Statement:
    """One statement or group of a library, such as `time_unit : "1ns";` or `cell (INVX1) {...}`.

    `kind`, `argument`: its name and what stands in parentheses. `value`: what follows, white space
    made even. `text`: all of it.
    """

    kind: str
    argument: str
    value: str
    text: str

    @classmethod
    def of(cls, text: str) -> _Statement:
        """Take a statement's text apart."""
        bare = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
        head = _HEAD.match(bare)
        kind, argument, value = head.groups("") if head else ("", "", bare)
        return cls(kind, argument.strip(' "'), " ".join(value.split()), text.strip())

    @property
    def key(self) -> tuple[str, str]:
        """What a library has only one of."""
        if _NAMED.fullmatch(self.kind):
            return self.kind, self.argument
        if _BINDING.fullmatch(self.kind) or self.value.startswith(":"):
            return self.kind, ""
        return self.kind, self.text

    def contradicts(self, other: _Statement) -> bool:
        """Return whether two statements of one key cannot stand in one library."""
        binding = _NAMED.fullmatch(self.kind) or _BINDING.fullmatch(self.kind)
        return bool(binding) and (self.argument, self.value) != (other.argument, other.value)


def merged(paths: Sequence[Path]) -> str:
    """Return the text of a library that comes in several files; of one file, its text as it is.

    Raises
    ------
    InputError
        For a file that holds no library, units or corners that differ, or one name for two cells or
        templates.
    """
    texts = [_text(path) for path in paths]
    if len(texts) == 1:
        return texts[0]
    start = texts[0][: _inside(texts[0], paths[0])]
    parts = [_statements(text, path) for text, path in zip(texts, paths, strict=True)]
    kept: dict[tuple[str, str], _Statement] = {}
    for statements, path in zip(parts, paths, strict=True):
        for statement in statements:
            _add(kept, statement, path)
    first = [each.text for each in kept.values() if each.kind != "cell"]
    cells = [each.text for each in kept.values() if each.kind == "cell"]
    return "\n".join([start, *first, *cells, "}", ""])


def corner(text: str) -> dict[str, Any]:
    """Return the corner of a library: the name of its operating conditions, process (a factor),
    voltage in V, temperature in degrees C; None where the file does not say.
    """
    head, *_ = re.split(r"\bcell\s*\(", text, maxsplit=1)
    name = re.search(r"\bdefault_operating_conditions\s*:\s*\"?([^\s\";]+)", head)
    found = {key: re.search(rf"\bnom_{key}\s*:\s*([-+0-9.eE]+)", head) for key in _CORNER}
    return {
        "name": name[1] if name else None,
        **{key: float(match[1]) if match else None for key, match in found.items()},
    }


def output_pins(text: str, cell: str) -> set[str]:
    """Return the pins that a cell of a library drives; none where it has no such cell."""
    opening = re.search(rf"\bcell\s*\(\s*\"?{re.escape(cell)}\"?\s*\)", text)
    if opening is None:
        return set()
    following = re.compile(r"\bcell\s*\(").search(text, opening.end())
    body = text[opening.end() : following.start() if following else len(text)]
    pins = re.split(r"\bpin\s*\(\s*\"?(\w+)\"?\s*\)", body)
    return {
        name
        for name, inside in zip(pins[1::2], pins[2::2], strict=True)
        if re.search(r"\bdirection\s*:\s*\"?output", inside)
    }


def _text(path: Path) -> str:
    try:
        # Every byte is a character: what is kept is kept as it is.
        return path.read_bytes().decode(ENCODING)
    except OSError as error:
        raise InputError(f"--liberty {str(path)!r}: {error}; expected a liberty file") from None


def _inside(text: str, path: Path) -> int:
    """Return where the inside of a file's library begins. Raises InputError where there is none."""
    opening = _LIBRARY.search(text)
    if opening is None:
        raise InputError(f"--liberty {str(path)!r}: holds no library; expected a liberty file")
    return opening.end()


def _statements(text: str, path: Path) -> list[_Statement]:
    """Return what stands in a file's library, in its order."""
    found: list[_Statement] = []
    depth, start = 0, _inside(text, path)
    for token in _TOKENS.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth < 0:
            return found
        if depth == 0 and token[0] in {"}", ";"}:
            found.append(_Statement.of(text[start : token.end()]))
            start = token.end()
    raise InputError(f"--liberty {str(path)!r}: ends within its library; expected the whole file")


def _add(kept: dict[tuple[str, str], _Statement], statement: _Statement, path: Path) -> None:
    """Add a statement, if it is new. Raises InputError where it contradicts one that is there."""
    before = kept.setdefault(statement.key, statement)
    if statement.contradicts(before):
        what = f"{statement.kind} {statement.argument}".strip()
        raise InputError(
            f"--liberty {str(path)!r}: its {what} differs from that of a file before it; expected "
            "files of one library and corner"
        )

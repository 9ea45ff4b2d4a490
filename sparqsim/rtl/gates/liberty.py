"""Liberty files as a tree: groups, with what they say of themselves and the groups inside.

A small reader that takes what libraries write in practice (quoted names, missing semicolons, lines
that go on after a backslash), because the package that reads the format is under another licence
and brings an algebra system. Delays are left out, unread: they are most of a file.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sparqsim.base.errors import InputError

#: Most bytes of a library, uncompressed: 7 nm libraries with current sources have tens of millions.
MOST_BYTES = 256 << 20
#: Groups that hold delays, noise and sizes of wires. What is inside is passed over.
PASSED_OVER = frozenset(
    (
        "timing",
        "receiver_capacitance",
        "dc_current",
        "normalized_driver_waveform",
        "ocv_derate",
        "test_cell",
        "wire_load",
        "wire_load_selection",
        "wire_load_table",
    )
)
BLANK = re.compile(r"(?:\s|\\\r?\n|;|/\*.*?\*/|//[^\n]*)*", re.DOTALL)
NAME = re.compile(r'"?([\w.\[\]]+)"?\s*')
ARGUMENTS = re.compile(r'\(((?:"[^"]*"|[^()"])*)\)\s*', re.DOTALL)
VALUE = re.compile(r':\s*("[^"]*"|[^;{}\n]*)', re.DOTALL)
BRACE = re.compile(r'"[^"]*"|/\*.*?\*/|[{}]', re.DOTALL)
ITEM = re.compile(r'"([^"]*)"|([^\s,"\\]+)', re.DOTALL)


@dataclass
class Group:
    """`kind (arguments) { ... }`.

    `values`: what `name : value` says. `lists`: what `name (a, b)` lists, items of quoted lists
    apart (`index_1 ("1, 2")` has one item). `groups`: those inside, in order.
    """

    kind: str
    arguments: tuple[str, ...]
    values: dict[str, str] = field(default_factory=dict)
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def of_kind(self, kind: str) -> Iterator[Group]:
        """Yield the groups of a kind directly inside."""
        return (group for group in self.groups if group.kind == kind)

    @property
    def name(self) -> str:
        """The first argument."""
        return self.arguments[0] if self.arguments else ""


def read_liberty(path: Path) -> Group:
    """Return the `library` group of a file, which may be compressed by gzip.

    Raises
    ------
    InputError
        For a file that is none, or does not end where its groups do.
    """
    content = path.read_bytes()
    try:
        if content[:2] == b"\x1f\x8b":
            with gzip.open(path) as stream:
                content = stream.read(MOST_BYTES + 1)
        text = content.decode("utf-8", errors="replace")
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: is no whole gzip file ({error}); expected a liberty file") from (
            None
        )
    if len(content) > MOST_BYTES:
        raise InputError(f"{path}: expected a liberty file of at most {MOST_BYTES:,} bytes")
    return parse_liberty(text, str(path))


def parse_liberty(text: str, source: str) -> Group:
    """Return the `library` group of a text; `source` names it in messages."""
    root, at = Group("", ()), 0
    open_groups = [root]
    while (at := _end(BLANK, text, at)) < len(text):
        if text[at] == "}":
            if len(open_groups) == 1:
                raise _error(text, at, source, "a brace that closes nothing")
            open_groups.pop()
            at += 1
            continue
        at = _statement(text, at, source, open_groups)
    if len(open_groups) > 1:
        raise _error(text, at, source, f"the end, within {open_groups[-1].kind!r}")
    libraries = list(root.of_kind("library"))
    if len(libraries) != 1:
        raise InputError(
            f"{source}: has {len(libraries)} groups 'library'; expected a liberty file, which has 1"
        )
    return libraries[0]


def _statement(text: str, at: int, source: str, open_groups: list[Group]) -> int:
    """Read what begins at `at` into the innermost group; return where it ends."""
    name = NAME.match(text, at)
    if name is None:
        raise _error(text, at, source, repr(text[at : at + 20]))
    kind, inside = name[1], open_groups[-1]
    if value := VALUE.match(text, name.end()):
        inside.values[kind] = value[1].strip().strip('"').strip()
        return value.end()
    arguments = ARGUMENTS.match(text, name.end())
    if arguments is None:
        raise _error(text, name.end(), source, f"{kind!r} without ':' or '('")
    items = tuple((quoted or plain).strip() for quoted, plain in ITEM.findall(arguments[1]))
    if not text.startswith("{", arguments.end()):
        inside.lists[kind] = items
        return arguments.end()
    if kind in PASSED_OVER:
        return _behind_group(text, arguments.end(), source)
    group = Group(kind, items)
    inside.groups.append(group)
    open_groups.append(group)
    return arguments.end() + 1


def _behind_group(text: str, at: int, source: str) -> int:
    """Return where the group that opens at `at` is closed."""
    depth = 0
    for token in BRACE.finditer(text, at):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth == 0:
            return token.end()
    raise _error(text, at, source, "a group that is not closed")


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _error(text: str, at: int, source: str, found: str) -> InputError:
    line = text.count("\n", 0, at) + 1
    return InputError(f"{source}: line {line} has {found}; expected a liberty file")

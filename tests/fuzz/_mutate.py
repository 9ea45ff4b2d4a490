"""Mutations of text formats that keep most of their structure: JSON, TOML, tables of cells, bytes.

Everything is drawn from the `random.Random` that is passed in: equal seeds give equal inputs.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

DEEP = 3_000
DIGITS = 5_000
#: Texts that no name, path or number should be.
TEXTS = (
    "",
    " ",
    "a\0b",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202eabc",
    "\u2028",
    "\ud800",
    "\uffff",
    "a" * 600,
    "a" * 20_000,
    "../../x",
    "/dev/null",
    "=1+1",
    "<script>&amp;",
    "[/bold]",
    "$x^2$",
    "٣",
    "½",
    "nan",
    "1e999",
    "-1",
    "9" * DIGITS,
)
NUMBERS = (-1, 0, 1, 2, 3, 7, 255, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 0.5, -0.0, 1e308, 5e-324)
#: Written into JSON as they are.
RAW = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "9" * DIGITS,
    "-" + "9" * DIGITS,
    "[" * DEEP + "]" * DEEP,
    '{"a":' * DEEP + "1" + "}" * DEEP,
    '{"a":1,"a":2}',
    "01",
    "'a'",
)
MARK = "@raw@"


def flipped(rng: random.Random, content: bytes) -> bytes:
    """Return bytes with a few of them changed, cut, or repeated."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.choice((rng.randrange(256), 0, 0xFF, 0x22))
    kind = rng.randrange(6)
    cut = rng.randrange(len(changed) + 1)
    if kind == 0:
        return bytes(changed[:cut])
    if kind == 1:
        return bytes(changed[:cut] + changed[max(0, cut - 40) :])
    return bytes(changed)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (container, key) of every value inside a JSON value."""
    keys: Any = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def altered(rng: random.Random, document: Any) -> Any:
    """Return a JSON value with one to three of its places altered; `MARK` texts stand for `RAW`."""
    changed = copy.deepcopy(document)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        found = list(places(changed))
        if found:
            _alter(
                rng, *rng.choice(found), [part for holder, key in found for part in [holder[key]]]
            )
    return changed


def _alter(rng: random.Random, holder: Any, key: Any, others: Sequence[Any]) -> None:
    kind = rng.randrange(8)
    old = holder[key]
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[rng.choice(TEXTS)] = holder.pop(key)
    elif kind == 2:
        holder[key] = rng.choice(TEXTS)
    elif kind == 3:
        holder[key] = f"{MARK}{rng.randrange(len(RAW))}"
    elif kind == 4:
        holder[key] = copy.deepcopy(rng.choice(others))
    elif kind == 5 and isinstance(old, int | float) and not isinstance(old, bool):
        holder[key] = rng.choice((-old, old + 1, old * 10, old * 2**40, old / 3))
    elif kind == 6 and isinstance(old, list):
        holder[key] = rng.choice((old * 3, old[:-1], old[::-1], [old]))
    else:
        holder[key] = rng.choice((None, True, [], {}, [None], *NUMBERS))


def json_text(document: Any) -> bytes:
    """Return a document as JSON; marked texts become what JSON should not hold."""
    text = json.dumps(document)
    for number, raw in enumerate(RAW):
        text = text.replace(f'"{MARK}{number}"', raw)
    return text.encode()


def json_mutations(
    document: Any, suffix: str, seed: int, count: int
) -> Iterator[tuple[str, bytes]]:
    """Yield `count` mutations of a JSON document: the first one is the document as it is."""
    rng = random.Random(seed)
    yield f"sound{suffix}", json_text(document)
    for number in range(1, count):
        content = json_text(altered(rng, document))
        if rng.random() < 0.25:
            content = flipped(rng, content)
        yield f"m{number}{suffix}", content


TOML_VALUES = (
    '""',
    '"a\\u0000b"',
    '"\\u001b[31m"',
    '"\\u202e"',
    '"' + "a" * 5_000 + '"',
    "9" * DIGITS,
    "0x" + "f" * DIGITS,
    "-1",
    "0",
    "1e999",
    "nan",
    "-inf",
    "inf",
    "true",
    "[]",
    "{}",
    "[" * DEEP + "]" * DEEP,
    "[1, [2, [3]]]",
    "1979-05-27",
    '["a", 1]',
    "9223372036854775808",
    "٣",
    '"../../x"',
)


def toml_mutations(lines: Sequence[str], suffix: str, seed: int, count: int) -> Iterator[Any]:
    """Yield `count` mutations of a TOML file, or of another with `key = value` in lines."""
    rng = random.Random(seed)
    yield f"sound{suffix}", "\n".join(lines).encode()
    for number in range(1, count):
        changed = list(lines)
        for _ in range(rng.randint(1, 2)):
            at = rng.randrange(len(changed))
            changed[at : at + 1] = _toml_line(rng, changed[at])
            changed = changed or [""]
        content = "\n".join(changed).encode("utf-8", "surrogatepass")
        yield f"m{number}{suffix}", flipped(rng, content) if rng.random() < 0.2 else content


def _toml_line(rng: random.Random, line: str) -> list[str]:
    key, equals, value = line.partition("=")
    kind = rng.randrange(7)
    if kind == 0:
        return []
    if kind == 1:
        return [line, line]
    if kind == 2 and equals:
        return [key[:-2] + "= " + value]
    if kind == 3:
        return [line, rng.choice(("[" + "a." * DEEP + "a]", "[[grid]]", "[dram]", "x = 1", "\0"))]
    if kind == 4 and equals:
        return [f"{key}= [{value.strip()}, {value.strip()}]"]
    return [f"{key}= {rng.choice(TOML_VALUES)}"]


def table_mutations(
    rows: Sequence[Sequence[str]], name: Callable[[int], str], seed: int, count: int
) -> Iterator[tuple[str, bytes]]:
    """Yield `count` mutations of a table of cells separated by commas."""
    rng = random.Random(seed)
    yield name(0), _table(rows, ",", "\n")
    for number in range(1, count):
        changed = [list(row) for row in rows]
        for _ in range(rng.randint(1, 3)):
            _alter_table(rng, changed)
        separator = rng.choice((",", ",", ",", ",", "\t", ";", ", ", "|"))
        content = _table(changed, separator, rng.choice(("\n", "\n", "\r\n", "\r")))
        if rng.random() < 0.1:
            content = rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\0")) + content
        yield name(number), flipped(rng, content) if rng.random() < 0.15 else content


def _alter_table(rng: random.Random, rows: list[list[str]]) -> None:
    row = rng.choice(rows)
    at = rng.randrange(len(row) + 1)
    kind = rng.randrange(8)
    if kind == 0:
        rows.insert(rng.randrange(len(rows) + 1), rng.choice(([], [""], [""] * 9, ["label"])))
    elif kind == 1:
        rows.append(list(row))
    elif kind == 2 and row:
        row.pop()
    elif kind == 3:
        row.insert(at, rng.choice(TEXTS))
    elif kind == 4 and row:
        row[at - 1] = '"' + row[at - 1]
    elif kind == 5 and row:
        row[at - 1] = str(rng.choice(NUMBERS))
    elif row:
        row[at - 1] = rng.choice(TEXTS)


def _table(rows: Sequence[Sequence[str]], separator: str, end: str) -> bytes:
    text = "".join(separator.join(row) + end for row in rows)
    return text.encode("utf-8", "surrogatepass")

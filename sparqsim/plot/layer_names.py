"""Short names of layers: what all of them share is said once, and no two ever look the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

#: Ends a component of a layer's name: modules of PyTorch and Keras, nodes of ONNX.
SEPARATORS = "./"
#: A character that cannot be drawn, as `drawable` writes it.
ESCAPE = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
WORD = re.compile(r"[^\W\d_]+")
#: Letters that words of long names keep, the first try first.
WORD_LENGTHS = range(12, 1, -1)


@dataclass(frozen=True)
class LayerNames:
    """Labels of a network's layers, in its order.

    prefix: what every name begins with and no label repeats, '' where there is none. labels: as
    different from each other as the names are. letters: how many of each word the labels keep, 0:
    all.
    """

    prefix: str
    labels: tuple[str, ...]
    letters: int = 0

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        longest: int | None = None,
        *,
        marks: Sequence[str] = (),
        taken: Sequence[str] = (),
    ) -> LayerNames:
        """Shorten names.

        Parameters
        ----------
        names : sequence of str
            Of layers, no two equal.
        longest : int, optional
            Most characters of a label, marks not counted; at least 12. Default: no limit.
        marks : sequence of str, optional
            What follows each label, '*' for instance.
        taken : sequence of str, optional
            Labels that stand beside these and must not be among them.
        """
        prefix = common_prefix(names)
        rests = [name[len(prefix) :] for name in names]
        marks = marks or [""] * len(names)
        for labels, letters in _tries(rests, longest):
            marked = [label + mark for label, mark in zip(labels, marks, strict=True)]
            if len({*marked, *taken}) == len(marked) + len(set(taken)):
                return cls(prefix, tuple(marked), letters)
        raise AssertionError("numbered labels are unique")

    def left_out_text(self) -> str:
        """Return what says once what labels leave out; '' where they leave nothing out."""
        return "; ".join(
            [
                *([f"names begin with {self.prefix}"] if self.prefix else []),
                *([f"words cut after {self.letters} letters"] if self.letters else []),
            ]
        )


def common_prefix(names: Sequence[str]) -> str:
    """Return the whole components that all names begin with; each keeps at least one of its own."""
    if len(names) < 2:
        return ""
    # What the first and the last in the alphabet share, all share.
    first, last = min(names), max(names)
    ends = [at + 1 for at, letter in enumerate(first) if letter in SEPARATORS]
    shared = [first[:end] for end in ends if last.startswith(first[:end]) and end < len(first)]
    return shared[-1] if shared else ""


def _tries(names: Sequence[str], longest: int | None) -> Iterator[tuple[list[str], int]]:
    """Yield labels, most telling first, and the letters of words kept; the last are unique."""
    most = longest or max(map(len, names))
    if max(map(len, names)) <= most:
        yield list(names), 0
    for letters in WORD_LENGTHS if longest else ():
        labels = [WORD.sub(_first(letters), name) for name in names]
        if max(map(len, labels)) <= most:
            yield labels, letters
    yield [shortened(name, most) for name in names], 0
    numbers = [f"#{at} " for at in range(1, len(names) + 1)]
    yield (
        [
            number + (shortened(name, longest - len(number)) if longest else name)
            for number, name in zip(numbers, names, strict=True)
        ],
        0,
    )


def _first(letters: int) -> Callable[[re.Match[str]], str]:
    return lambda word: word[0][:letters]


def shortened(name: str, longest: int) -> str:
    """Return `name`, or its beginning and end in `longest` characters."""
    if len(name) <= longest:
        return name
    head = (longest - 1) // 3
    begin, end = head, len(name) + head + 1 - longest
    for escape in ESCAPE.finditer(name):  # goes whole or not at all
        begin = escape.start() if escape.start() < head < escape.end() else begin
        end = escape.end() if escape.start() < end < escape.end() else end
    return f"{name[:begin]}…{name[end:]}"

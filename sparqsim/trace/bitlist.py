"""Lists of bits, layer by layer, from JSON files, and traces whose layers get them.

Four forms are read, told apart by what they hold:

* `{"LAYER": {"weights": 4, "activations": 8}}`; what is not given keeps its bits;
* `{"LAYER": 4}`: of weights. With `"magnitude_bits": true` beside the layers a number n is of
  magnitudes, without the sign: weights get min(8, n + 1) bits. So are lists of BSQ;
* `{"schemes": {"NAME": {"layers": {...}}}}`: several lists by name, as HAWQ's;
* `{"networks": {"NAME": {"bits": [6, [5, 7], ...]}}}`: bits of weights, or pairs (weights,
  activations; -1: not quantised), of all layers in the network's order, as HAQ's.

The rule for codes and scales is that of the transform `requantise`
(`sparqsim.trace.transforms.requantise`); layers that a list names get its bits even where they are
marked keep_8bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

from sparqsim.base.errors import InputError, nearest, shown
from sparqsim.base.textfile import json_of, read_text
from sparqsim.base.wording import counted
from sparqsim.trace.codebits import ALL_BITS
from sparqsim.trace.layer import Layer
from sparqsim.trace.reader import as_trace
from sparqsim.trace.trace import Trace
from sparqsim.trace.transforms.applying import transform
from sparqsim.trace.transforms.base import Transform, Transformed
from sparqsim.trace.transforms.requantise import Requantise

EXPECTED = 'a list of bits, {"LAYER": {"weights": 4, "activations": 8}} or {"LAYER": 4}'
MAGNITUDES = "magnitude_bits"
NOT_QUANTISED = -1
LEAST = {"weights": 2, "activations": 1}


@dataclass(frozen=True)
class LayerBits:
    """Bits of a layer's operands, 8: as they are."""

    weights: int = ALL_BITS
    activations: int = ALL_BITS


@dataclass(frozen=True)
class BitList:
    """Bits of layers, by name or in the order of a network.

    `title`: the file's name and the scheme's, for the trace's provenance. `place`: the file, for
    messages. `others`: the other lists of the file, by name.
    """

    title: str
    by_name: Mapping[str, LayerBits] | None
    in_order: Sequence[LayerBits] = ()
    place: str = ""
    others: Mapping[str, BitList] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | PathLike[str], scheme: str = "") -> BitList:
        """Read a file.

        Parameters
        ----------
        path : str or path
        scheme : str
            Which list of the file; '' where it holds one.

        Raises
        ------
        InputError
            Naming the file, the scheme, the layer and the value.
        """
        document = json_of(read_text(Path(path), EXPECTED), path, EXPECTED)
        if not isinstance(document, dict):
            raise InputError(f"{path}: is {shown(document)}, expected {EXPECTED}")
        for kind, content in (("schemes", "layers"), ("networks", "bits")):
            if _holds(document, kind, content):
                entries = {name: each[content] for name, each in document[kind].items()}
                name = _chosen(str(path), kind, entries, scheme)
                chosen = cls._named_of(path, name, entries.pop(name))
                return replace(chosen, others=cls._sound_of(path, entries))
        if scheme:
            raise InputError(f"{path}: holds one list, expected no scheme (found {shown(scheme)})")
        return cls._of(str(path), Path(path).name, document)

    @classmethod
    def of(cls, layers: Mapping[str, Any], title: str = "list of bits") -> BitList:
        """Return the list that a mapping in the first or second form is."""
        return cls._of(title, title, layers)

    @classmethod
    def _named_of(cls, path: str | PathLike[str], name: str, entries: Any) -> BitList:
        return cls._of(f"{path}: {name}", f"{Path(path).name} {name}", entries)

    @classmethod
    def _sound_of(cls, path: str | PathLike[str], lists: Mapping[str, Any]) -> dict[str, BitList]:
        """Return those of several lists that can be read."""
        sound = {}
        for name, entries in lists.items():
            with suppress(InputError):
                sound[name] = cls._named_of(path, name, entries)
        return sound

    @classmethod
    def _of(cls, place: str, title: str, entries: Any) -> BitList:
        if isinstance(entries, list):
            bits = [_ordered(f"{place}: bits[{at}]", each) for at, each in enumerate(entries)]
            return cls(title, None, tuple(bits), place)
        if not isinstance(entries, dict):
            raise InputError(f"{place}: is {shown(entries)}, expected {EXPECTED}")
        signs = entries.get(MAGNITUDES, False)
        if not isinstance(signs, bool):
            raise InputError(f"{place}: {MAGNITUDES}={shown(signs)}, expected true or false")
        found = {
            name: _named(f"{place}: layer {name!r}", each, signs=signs)
            for name, each in entries.items()
            if name != MAGNITUDES
        }
        return cls(title, found, place=place)

    def of_layers(self, names: Sequence[str], of: str = "trace") -> dict[str, LayerBits]:
        """Return the bits of the layers called `names`, by name; `of`: what they are layers of.

        Raises
        ------
        InputError
            For a list that names no layer, a layer that is not there, or another number of layers;
            saying which lists of the same file fit.
        """
        if fault := self.fault(names, of):
            raise InputError(f"{self.place}: {fault}{self._others_that_fit(names, of)}")
        if self.by_name is None:
            return dict(zip(names, self.in_order, strict=True))
        return dict(self.by_name)

    def fault(self, names: Sequence[str], of: str) -> str:
        """Return why the list does not fit layers, '' where it does."""
        if self.by_name is None:
            if len(self.in_order) == len(names):
                return ""
            return (
                f"bits of {counted(len(self.in_order), 'layer')} in order, and the {of} has "
                f"{len(names)}: expected as many"
            )
        expected = f"expected some of {', '.join(names)}"
        if not self.by_name:
            return f"names no layer, {expected}"
        unknown = [name for name in self.by_name if name not in names]
        if not unknown:
            return ""
        known = len(self.by_name) - len(unknown)
        return (
            f"layer {shown(unknown[0])} is not in the {of}{nearest(unknown[0], names)}, "
            f"which has {known} of the list's {counted(len(self.by_name), 'layer')}; {expected}"
        )

    def _others_that_fit(self, names: Sequence[str], of: str) -> str:
        fit = [name for name, other in self.others.items() if not other.fault(names, of)]
        if fit:
            return f" (of the same file, {', '.join(fit)} would fit)"
        return " (no other list of the file fits)" if self.others else ""


def requantise(
    trace: Trace | str | PathLike[str],
    bits: BitList | Mapping[str, Any] | str | PathLike[str],
    scheme: str = "",
) -> Trace:
    """Return a trace whose layers have the bits of a list; nothing is held in memory.

    Parameters
    ----------
    trace : Trace, or the path of a trace file
    bits : BitList, mapping, or the path of a JSON file
    scheme : str
        Which list of the file; '' where it holds one.

    Returns
    -------
    Trace
        As of `sparqsim.trace.transforms.transform`.

    Raises
    ------
    InputError
        For bits out of range, layers that do not match, and operands with a zero point.
    """
    source = as_trace(trace)
    if isinstance(bits, Mapping):
        bits = BitList.of(bits)
    elif not isinstance(bits, BitList):
        bits = BitList.load(bits, scheme)
    of_layers = bits.of_layers([layer.name for layer in source.layers])
    return transform(source, [ListedBits(bits.title, of_layers)])


@dataclass(frozen=True)
class ListedBits(Transform):
    """Codes to the top bits that a list says of their layer."""

    name: ClassVar[str] = "requantise"

    title: str
    of_layers: Mapping[str, LayerBits]

    @property
    def spec(self) -> str:
        """The transform and its list."""
        return f"{self.name} by {self.title}"

    def apply(self, layer: Layer) -> Transformed:
        """Return the layer with its bits."""
        bits = self.of_layers.get(layer.name)
        if bits is None:
            return Transformed(layer, {"left_alone": "not in the list"})
        if bits == LayerBits():
            return Transformed(layer, {"left_alone": f"{ALL_BITS} bits"})
        return Requantise(bits.weights, bits.activations, kept="include").apply(layer)


def _holds(document: Mapping[str, Any], kind: str, content: str) -> bool:
    """Return whether a file holds several lists under `kind`, and is no list itself."""
    lists = document.get(kind)
    if not isinstance(lists, dict) or not lists:
        return False
    return all(isinstance(each, dict) and content in each for each in lists.values())


def _chosen(path: str, kind: str, lists: Mapping[str, Any], scheme: str) -> str:
    if scheme in lists:
        return scheme
    if not scheme and len(lists) == 1:
        return next(iter(lists))
    found = f"scheme {shown(scheme)} is not one of them" if scheme else "no scheme was named"
    raise InputError(
        f"{path}: holds {counted(len(lists), 'list')} ({kind}), and {found}"
        f"{nearest(scheme, lists)}; expected one of {', '.join(lists)}"
    )


def _named(place: str, entry: Any, *, signs: bool) -> LayerBits:
    """Return the bits of a layer; `signs`: whether those of weights come without their sign."""
    given = entry if isinstance(entry, dict) else {"weights": entry}
    unknown = next((name for name in given if name not in LEAST), None)
    if unknown is not None or not given:
        raise InputError(f"{place}: {shown(entry)}, expected weights, activations or both")
    if signs and "weights" in given:
        magnitudes = _checked(f"{place}: weights", given["weights"], 1)
        given = given | {"weights": min(ALL_BITS, magnitudes + 1)}
    for name, bits in given.items():
        _checked(f"{place}: {name}", bits, LEAST[name])
    return LayerBits(**given)


def _ordered(place: str, entry: Any) -> LayerBits:
    pair = entry if isinstance(entry, list) else [entry, NOT_QUANTISED]
    if len(pair) != len(LEAST):
        raise InputError(f"{place}: {shown(entry)}, expected bits of weights and of activations")
    given = {name: bits for name, bits in zip(LEAST, pair, strict=True) if bits != NOT_QUANTISED}
    return _named(place, given, signs=False) if given else LayerBits()


def _checked(place: str, bits: Any, least: int) -> int:
    if type(bits) is not int or not least <= bits <= ALL_BITS:
        raise InputError(f"{place}={shown(bits)}, expected {least}..{ALL_BITS} bits")
    return bits

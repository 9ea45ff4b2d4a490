"""A quantised network in a file: its layers' integers and scales, without what found them.

A safetensors file. Its metadata hold a document (`QuantisedDocument`) as JSON under
`sparqsim.quantised`; for each layer with weights there are the tensors

* `NAME/weights`, int8 (column, kernel position, input channel of the group);
* `NAME/weight_scales`, float64 (column,);
* `NAME/weight_zero_points`, int64 (column,), where they are not all 0;
* `NAME/column_channels`, int64 (column,), where output channels have several columns;
* `NAME/bias`, float32 (output channel,), where there is one.

The rest of the network stays where it was: whoever loads the file brings the network that it was
made of, which is told by a digest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.files import replaced
from sparqsim.base.record import faults_of
from sparqsim.base.textfile import json_of
from sparqsim.base.version import VERSION
from sparqsim.networks.saved_document import QuantisedDocument, SavedCodes, SavedLayer
from sparqsim.networks.saved_tensors import DTYPES, Array, LayerTensors
from sparqsim.networks.site import Site
from sparqsim.quantise.codes import ActivationCodes
from sparqsim.trace.header import written_header
from sparqsim.trace.tensorfile import TensorFile

KEY = "sparqsim.quantised"
EXPECTED = "a quantised network written by sparqsim quantise, or by QuantisedNetwork.save"


def save(path: str | PathLike[str], sites: Iterable[Site], **document: Any) -> None:
    """Write layers to a file, whole or not at all.

    Parameters
    ----------
    path : str or path
    sites : iterable of Site
    **document
        Fields of `QuantisedDocument`: source, source_sha256, calibrator, ...

    Raises
    ------
    InputError
        When the path cannot be written, and for what a file cannot hold, as a name.
    """
    found = list(sites)
    try:
        layers = tuple(map(_saved_layer, found))
        about = QuantisedDocument(version=VERSION, layers=layers, **document)
    except ValidationError as error:
        raise InputError(f"{path}: {faults_of(error)[0]}") from None
    tensors: dict[str, Array] = {}
    for site in found:
        tensors |= {f"{site.name}/{name}": values for name, values in _tensors(site).items()}
    text = json.dumps(about.model_dump(mode="json"), sort_keys=True)
    described = ((name, values.shape, values.dtype) for name, values in tensors.items())
    header, names = written_header(described, {KEY: text})
    with replaced(Path(path)) as temporary, temporary.open("wb") as file:
        file.write(header)
        for name in names:
            file.write(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data)


def _saved_layer(site: Site) -> SavedLayer:
    weights = site.stored_weights
    return SavedLayer(
        name=site.name,
        op=site.op,
        groups=site.groups,
        activation=SavedCodes.of(site.activation),
        second=None if site.second is None else SavedCodes.of(site.second),
        keep_8bit=site.keep_8bit,
        weight_bits=None if weights is None else weights.bits,
        accumulator_bits=site.accumulator_bits,
        reason=site.reason,
    )


def _tensors(site: Site) -> dict[str, Array]:
    """Return the tensors of a layer, by what they are."""
    tensors: dict[str, Array] = {}
    if site.stored_weights is not None:
        tensors["weights"] = site.stored_weights.codes
        tensors["weight_scales"] = site.stored_weights.network_scales
        if site.stored_weights.zero_points.any():
            tensors["weight_zero_points"] = site.stored_weights.zero_points
    if site.column_channels is not None:
        tensors["column_channels"] = site.column_channels
    if site.bias is not None:
        tensors["bias"] = site.bias
    return tensors


@dataclass(frozen=True, eq=False)
class SavedNetwork:
    """A file that was read: its document, and the tensors of each layer by what they are."""

    path: str
    document: QuantisedDocument
    tensors: Mapping[str, Mapping[str, Array]]

    @classmethod
    def load(cls, path: str | PathLike[str]) -> SavedNetwork:
        """Read a file.

        Raises
        ------
        InputError
            Naming the file, and what of it is not as it must be.
        """
        file = TensorFile(Path(path), "a quantised network")
        if KEY not in file.metadata:
            raise InputError(f"{path}: is no quantised network; expected {EXPECTED}")
        try:
            json_of(file.metadata[KEY], f"{path}: metadata key {KEY!r}", EXPECTED)
            document = QuantisedDocument.model_validate_json(file.metadata[KEY])
        except ValidationError as error:
            raise InputError(f"{path}: {faults_of(error)[0]}") from None
        tensors: dict[str, dict[str, Array]] = {layer.name: {} for layer in document.layers}
        if len(tensors) < len(document.layers):
            raise InputError(f"{path}: a layer's name stands twice, expected each once")
        for name in file.names:
            layer, _, what = name.rpartition("/")
            if layer not in tensors or what not in DTYPES:
                raise InputError(f"{path}: tensor {name!r} is of no layer, expected none")
            tensors[layer][what] = file.source(name).load()
        return cls(str(path), document, tensors)

    @property
    def kept(self) -> frozenset[str]:
        """Names of layers that stay at 8 bits."""
        return frozenset(layer.name for layer in self.document.layers if layer.keep_8bit)

    def codes(self) -> dict[Any, ActivationCodes]:
        """Return how each operand is stored, by (layer, 0 or 1)."""
        codes = {}
        for layer in self.document.layers:
            codes[layer.name, 0] = layer.activation.codes
            if layer.second is not None:
                codes[layer.name, 1] = layer.second.codes
        return codes

    def check_chosen(self, keys: Iterable[tuple[str, int]]) -> None:
        """Raise InputError for a zero point of operands that have no codes of the network's own:
        codes that are chosen stand around 0.

        `keys`: (layer, 0 or 1) of these operands.
        """
        codes = self.codes()
        for layer, place in keys:
            point = codes[layer, place].zero_point
            if point:
                raise InputError(
                    f"{self.path}: layer {layer!r}: {PLACES[place]}.zero_point is {point}, "
                    "expected 0: the network has no codes of its own there"
                )

    def lowest(self, key: object) -> float:
        """Return 0: which values were seen is not kept."""
        return 0.0

    def check_source(self, sha256: str, source: str) -> None:
        """Raise InputError for another network than the one that the file was made of."""
        if sha256 != self.document.source_sha256:
            raise InputError(
                f"{self.path}: was made of {self.document.source}, whose digest is "
                f"{self.document.source_sha256[:12]}..., and {source} has {sha256[:12]}...; "
                "expected the same network"
            )

    def preprocess_note(self, steps: str) -> str:
        """Return what is said where pictures are prepared by other steps than those that scales
        were found on, else ''.
        """
        then = self.document.preprocess
        if then == steps:
            return ""
        return (
            f"{self.path}: scales were found on pictures with --preprocess {then!r}, and these "
            f"have {steps!r}"
        )

    def check_layers(self, names: Sequence[str]) -> None:
        """Raise InputError where the network has other layers than the file."""
        known = [layer.name for layer in self.document.layers]
        for name in names:
            if name not in known:
                raise InputError(
                    f"{self.path}: has no layer {name!r}{nearest(name, known)}, which the network "
                    f"has; expected the layers {', '.join(names)}"
                )
        for name in known:
            if name not in names:
                raise InputError(
                    f"{self.path}: layer {name!r} is not in the network{nearest(name, names)}; "
                    f"expected the layers {', '.join(names)}"
                )

    def restored(self, sites: Iterable[Site]) -> tuple[Site, ...]:
        """Return a network's layers with the integers and scales of the file.

        Parameters
        ----------
        sites : iterable of Site
            Of the network itself, with weights of any codes.

        Raises
        ------
        InputError
            For a layer of another kind, shape or type, naming it.
        """
        of_layer = {layer.name: layer for layer in self.document.layers}
        return tuple(self._restored(site, of_layer[site.name]) for site in sites)

    def _restored(self, site: Site, layer: SavedLayer) -> Site:
        place = f"{self.path}: layer {site.name!r}"
        found = (layer.op, layer.groups, layer.weight_bits is None)
        wanted = (site.op, site.groups, site.weights is None)
        if found != wanted or (layer.second is None) != (site.second is None):
            raise InputError(
                f"{place} is a {layer.op} of {layer.groups} groups {_operands(layer)}, the "
                f"network's a {site.op} of {site.groups}; expected the same layer"
            )
        _check_codes(place, layer, site)
        made = replace(
            site,
            activation=layer.activation.codes,
            second=None if layer.second is None else layer.second.codes,
            keep_8bit=layer.keep_8bit,
            accumulator_bits=layer.accumulator_bits,
            reason=layer.reason or site.reason,
        )
        if site.weights is None:
            return made
        tensors = LayerTensors(place, self.tensors[layer.name])
        columns = tensors.columns(site.weights.codes.shape)
        weights = tensors.weights(site.weights.codes.shape, columns, int(layer.weight_bits or 0))
        bias = tensors.bias(len(site.weights.codes))
        return replace(made, weights=weights, bias=bias, column_channels=columns)


def _operands(layer: SavedLayer) -> str:
    if layer.weight_bits is not None and layer.second is not None:
        return "with weights and a second activation"
    return "with weights" if layer.weight_bits is not None else "without weights"


def _check_codes(place: str, layer: SavedLayer, site: Site) -> None:
    """Raise InputError for operands that are stored as other integers than the network's."""
    for name, found, own in zip(
        PLACES, (layer.activation, layer.second), (site.activation, site.second), strict=True
    ):
        if found is None or own is None:
            continue
        if (found.zero_point, found.signed) != (own.zero_point, own.signed):
            raise InputError(
                f"{place}: {name} has zero_point {found.zero_point}, signed {found.signed}, and "
                f"the network {own.zero_point}, {own.signed}; expected the network's"
            )


#: Names of a layer's operands.
PLACES = ("activation", "second")

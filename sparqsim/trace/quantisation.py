"""How the integers of a trace came to be: the quantization card's side of the network.

*Source* of the axes: "Confounding tradeoffs" (the fields of its quantization card; the printed
layout could not be read, so this one is a reconstruction). What is not known is None: never
guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Field, computed_field, model_validator

from sparqsim.base.known import Fact, Facts, measured, read
from sparqsim.base.record import Name, Record, Text
from sparqsim.base.wording import counted
from sparqsim.trace.codebits import ALL_BITS
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.layer import Layer
from sparqsim.trace.stated import recipe_settings, stated_facts
from sparqsim.trace.trace import TRANSFORMS, Trace

Bits: TypeAlias = Annotated[int, Field(ge=1, le=ALL_BITS)]
Ends: TypeAlias = Literal["both", "first", "last", "none"]
BITS_OF_A_BYTE = 8
PER_TENSOR, PER_CHANNEL = "per tensor", "per channel"
SYMMETRIC, ASYMMETRIC, UNSIGNED = "symmetric", "asymmetric", "unsigned"
MEASURED_VALUES, SYNTHETIC = "a network's own", "SYNTHETIC: "
#: What a list of bits is called in a trace's provenance: 'requantise by LIST'.
LISTED = "requantise by "
#: What a card says of training where bits come from a list: never the name of its trainer.
BY_A_LIST = "bits by a list: "


class Memory(Record):
    """What codes of an operand take, all layers together.

    elements: codes. bits: elements x bits of their layer's codes.
    """

    elements: int = Field(ge=1)
    bits: int = Field(ge=1)

    @model_validator(mode="after")
    def _bits_are_possible(self) -> Self:
        if not self.elements <= self.bits <= ALL_BITS * self.elements:
            raise ValueError(
                f"bits={self.bits}: expected 1 to {ALL_BITS} for each of {self.elements} elements"
            )
        return self

    @computed_field  # type: ignore[prop-decorator]
    @property
    def average_bits(self) -> float:
        """Bits of a code, mean over elements: bits / elements."""
        return self.bits / self.elements

    @property
    def words(self) -> str:
        """What codes take, in words."""
        return f"{self.elements:,} codes, {self.bits:,} bits, {self.average_bits:.4g} a code"


class FeatureMaps(Memory):
    """The activation memory that layers need: the input of each layer as the trace stores it.

    layers: how many inputs of layers there are. inputs: of the network that the trace holds; None
    where it does not say: figures are then of the whole trace. largest_elements, largest_bits: of
    the layer whose input has most of them, all inputs of the network together.
    """

    layers: int = Field(ge=1)
    inputs: int | None = Field(default=None, ge=1)
    largest_elements: int = Field(ge=1)
    largest_bits: int = Field(ge=1)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def average_bytes(self) -> float:
        """Bytes of a layer's input, mean over layers, per input of the network."""
        return self._bytes(self.bits) / self.layers

    @computed_field  # type: ignore[prop-decorator]
    @property
    def largest_bytes(self) -> float:
        """Bytes of the largest input of a layer, per input of the network."""
        return self._bytes(self.largest_bits)

    @property
    def words(self) -> str:
        """What inputs of layers take, in words."""
        of = "the trace" if self.inputs is None else "an input of the network"
        return (
            f"{self.average_bytes:,.6g} bytes on average, {self.largest_bytes:,.6g} at most, over "
            f"{counted(self.layers, 'layer')}, for {of}; {self.average_bits:.4g} bits a code"
        )

    def _bytes(self, bits: int) -> float:
        return bits / BITS_OF_A_BYTE / (self.inputs or 1)


class Quantisation(Facts):
    """How a network became the integers of a trace; None where it is not known.

    values: whether codes are a network's own, or how they were drawn. weight_granularity: 'per
    tensor', 'per channel' (scales differ between output channels of a layer), or both, of
    different layers. activation_granularity: scales of a layer's input; the format holds one.
    weight_symmetry: 'symmetric' (codes around 0), 'asymmetric' (with zero points), or both.
    activation_symmetry: 'unsigned' (from 0 up), 'symmetric', 'asymmetric', or several of them.
    first_last: which of the first and the last layer stay at 8 bits where others do not. kept_8bit:
    every layer that stays at 8 bits: marked so in the trace, or with operands of 8 bits in a trace
    in which other layers have fewer. weight_bit_set, activation_bit_set: how many bits codes have,
    every number that occurs. layer_bits: bits of activations and of weights, of layers in which one
    of them is below 8. weights: memory that the codes of all weights take. feature_maps: memory
    that inputs of layers take, on average and at most. activation_observer: how scales of
    activations were found (the calibrator). weight_quantiser: how weights got their codes.
    calibration_inputs: how many inputs of the network scales were found on. calibration_labels:
    what calibration knew of the right answers: 'none', 'true', or 'float-network'.
    calibration_sha256: digest of what is known of the calibration data. bias_correction: whether
    biases make up for the mean error that rounding causes, 'on' or 'off'. residual: what is
    quantised at all. stays_float: what the network computes in real numbers. seeds: seeds of
    whatever is drawn.
    training: what decided bits or rounding beside calibration: 'none', the list that bits come
    from, or what trained them. transforms: what was done to the trace, in order.
    folded_batch_norms: how many batch norms are part of a layer's weights. traced_inputs: inputs of
    the network in the trace. left_out: operations with products that are not in the trace.
    accumulator_bits: width of accumulators that the recipe reckons with. recipe_settings: what else
    the recipe says.
    """

    values: Text | None = None
    weight_granularity: Text | None = None
    activation_granularity: Text | None = None
    weight_symmetry: Text | None = None
    activation_symmetry: Text | None = None
    first_last: Ends | None = None
    kept_8bit: tuple[Name, ...] | None = None
    weight_bit_set: tuple[Bits, ...] | None = None
    activation_bit_set: tuple[Bits, ...] | None = None
    layer_bits: dict[Name, tuple[Bits, Bits]] | None = None
    weights: Memory | None = None
    feature_maps: FeatureMaps | None = None
    activation_observer: Text | None = None
    weight_quantiser: Text | None = None
    calibration_inputs: int | None = Field(default=None, ge=1)
    calibration_labels: Text | None = None
    calibration_sha256: Text | None = None
    bias_correction: Text | None = None
    residual: Text | None = None
    stays_float: Text | None = None
    seeds: Text | None = None
    training: Text | None = None
    transforms: tuple[Text, ...] | None = None
    folded_batch_norms: int | None = Field(default=None, ge=0)
    traced_inputs: int | None = Field(default=None, ge=1)
    left_out: tuple[Text, ...] | None = None
    accumulator_bits: int | None = Field(default=None, ge=1)
    recipe_settings: dict[Text, Text] | None = None


def quantisation_of(trace: Trace, *, keep_8bit: bool = True) -> Quantisation:
    """Return how a trace's integers came to be, as far as it can be read off the file; no operand
    is read.

    Parameters
    ----------
    trace : Trace
    keep_8bit : bool
        Whether layers marked keep_8bit stay at 8 bits, or run as the others.

    Raises
    ------
    InputError
        For an entry `card` of the provenance that is none.
    """
    about = trace.metadata
    stated = stated_facts(about.provenance)
    if about.calibrator:
        stated["activation_observer"] = about.calibrator
    told = {name: read(value) for name, value in stated.items()}
    drawn_seed = _drawn_seed(trace)
    if drawn_seed is not None:
        told.setdefault("seeds", read(f"values drawn with seed {drawn_seed}"))
    applied = applied_transforms(about.provenance)
    listed = [spec.removeprefix(LISTED) for spec in applied if spec.startswith(LISTED)]
    if listed:
        told.setdefault("training", read(BY_A_LIST + ", ".join(listed)))
    coverage = Coverage.of(about.provenance)
    facts = {
        "values": values_fact(about.synthetic),
        **_codes(trace.layers),
        **kept_facts(_kept(trace.layers, marked=keep_8bit), [each.name for each in trace.layers]),
        "weights": measured(_weights(trace.layers)),
        "feature_maps": measured(_feature_maps(trace.layers, coverage.inputs)),
        "transforms": read(applied),
        "folded_batch_norms": read(_folded(about.provenance)),
        "traced_inputs": read(coverage.inputs),
        "left_out": read(left_out_names(coverage)),
        "recipe_settings": read(recipe_settings(about.provenance)),
    }
    return Quantisation.of(**(told | facts))


def values_fact(synthetic: str) -> Fact:
    """Return whether codes are a network's own; `synthetic`: how they were drawn, '' if not."""
    return Fact(SYNTHETIC + synthetic, "assumed") if synthetic else read(MEASURED_VALUES)


def kept_facts(kept: Sequence[str], layers: Sequence[str]) -> dict[str, Fact]:
    """Return which layers stay at 8 bits, and which ends of the network are among them."""
    first, last = layers[0] in kept, layers[-1] in kept
    ends = {(True, True): "both", (True, False): "first", (False, True): "last"}
    return {
        "first_last": read(ends.get((first, last), "none")),
        "kept_8bit": read(tuple(kept)),
    }


def bits_facts(bits: Mapping[str, tuple[int, int]]) -> dict[str, Fact]:
    """Return the facts on bits; `bits`: of activations and weights, of every layer by name."""
    narrow = {name: each for name, each in bits.items() if min(each) < ALL_BITS}
    return {
        "activation_bit_set": read(tuple(sorted({each[0] for each in bits.values()}))),
        "weight_bit_set": read(tuple(sorted({each[1] for each in bits.values()}))),
        "layer_bits": read(narrow),
    }


def _drawn_seed(trace: Trace) -> int | None:
    """Return the seed of drawn values; None where a trace holds its values."""
    if not trace.metadata.synthetic:
        return None
    from sparqsim.trace.drawn import DrawnTrace

    return trace.document.drawn.seed if isinstance(trace, DrawnTrace) else None


def applied_transforms(provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names, with keys, of the transforms that a trace went through, in order."""
    entries = provenance.get(TRANSFORMS)
    if not isinstance(entries, list):
        return ()
    return tuple(
        str(entry["transform"])
        for entry in entries
        if isinstance(entry, Mapping) and isinstance(entry.get("transform"), str)
    )


def _kept(layers: Sequence[Layer], *, marked: bool) -> list[str]:
    """Return the layers that stay at 8 bits; `marked`: those marked so among them."""
    narrow = any(layer.record.is_narrow for layer in layers)
    return [
        layer.name
        for layer in layers
        if (marked and layer.keep_8bit) or (narrow and not layer.record.is_narrow)
    ]


def _codes(layers: Sequence[Layer]) -> dict[str, Fact]:
    """Return what the layers' records say of their codes."""
    bits = {
        layer.name: (layer.record.activation_bits, layer.record.weight_bits) for layer in layers
    }
    return {
        "weight_granularity": read(_granularity(layers)),
        "activation_granularity": Fact(PER_TENSOR, "assumed"),
        "weight_symmetry": read(_joined(map(_weight_symmetry, layers))),
        "activation_symmetry": read(_joined(map(_activation_symmetry, layers))),
        **bits_facts(bits),
    }


def _granularity(layers: Sequence[Layer]) -> str | None:
    """Return of what weight scales are; None where a layer has none."""
    if not all(layer.record.weight_scales for layer in layers):
        return None
    # With one output channel, both are the same.
    several = [layer for layer in layers if layer.weights_source.shape[0] > 1]
    kinds = (
        PER_CHANNEL if len(set(layer.record.weight_scales)) > 1 else PER_TENSOR for layer in several
    )
    return _joined(kinds) or PER_TENSOR


def _weight_symmetry(layer: Layer) -> str:
    return ASYMMETRIC if any(layer.record.weight_zero_points) else SYMMETRIC


def _activation_symmetry(layer: Layer) -> str:
    if layer.record.activation_zero_point:
        return ASYMMETRIC
    return SYMMETRIC if layer.signed else UNSIGNED


def _joined(kinds: Iterable[str]) -> str:
    """Return the kinds that occur, in words; their order is that of the alphabet."""
    return " and ".join(sorted(set(kinds)))


def _weights(layers: Sequence[Layer]) -> Memory:
    sizes = [prod(layer.weights_source.shape) for layer in layers]
    bits = [layer.record.weight_bits for layer in layers]
    return Memory(elements=sum(sizes), bits=_summed(sizes, bits))


def _feature_maps(layers: Sequence[Layer], inputs: int | None) -> FeatureMaps:
    sizes = [prod(layer.activations_source.shape) for layer in layers]
    bits = [layer.record.activation_bits for layer in layers]
    return FeatureMaps(
        elements=sum(sizes),
        bits=_summed(sizes, bits),
        layers=len(sizes),
        inputs=inputs,
        largest_elements=max(sizes),
        largest_bits=max(size * each for size, each in zip(sizes, bits, strict=True)),
    )


def _summed(sizes: Sequence[int], bits: Sequence[int]) -> int:
    return sum(size * each for size, each in zip(sizes, bits, strict=True))


def _folded(provenance: Mapping[str, Any]) -> int | None:
    folded = provenance.get("folded_batch_norms")
    return len(folded) if isinstance(folded, Mapping) else None


def left_out_names(coverage: Coverage) -> tuple[str, ...] | None:
    """Return the operations that are not in a trace, None where it does not say."""
    return tuple(each.name for each in coverage.left_out) if coverage.is_stated else None

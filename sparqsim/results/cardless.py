"""Quantization cards of files that have none: what their other fields say, the rest not known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from sparqsim.base.known import read
from sparqsim.results.card import Card, Ran, run_card
from sparqsim.trace.quantisation import (
    Quantisation,
    bits_facts,
    kept_facts,
    left_out_names,
    values_fact,
)


class Coded(Protocol):
    """A layer of a result: its name, and the bits of its codes."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def activation_bits(self) -> int:
        """Bits of its activations."""

    @property
    def weight_bits(self) -> int:
        """Bits of its weights."""


def card_of_run(run: Ran) -> Card:
    """Return the card of a report that was written without one."""
    provenance, layers = run.provenance, run.layers
    kept = [layer.name for layer in layers if layer.kept_8bit]
    quantisation = Quantisation.of(
        values=values_fact(provenance.synthetic),
        **kept_facts(kept, [layer.name for layer in layers]),
        **bits_facts(bits_of(layers)),
        activation_observer=read(provenance.calibrator or None),
        folded_batch_norms=read(provenance.folded_batch_norms),
        traced_inputs=read(provenance.coverage.inputs),
        left_out=read(left_out_names(provenance.coverage)),
    )
    return run_card(run, quantisation)


def bits_of(layers: Iterable[Coded]) -> dict[str, tuple[int, int]]:
    """Return the bits of activations and weights of layers, by name."""
    return {layer.name: (layer.activation_bits, layer.weight_bits) for layer in layers}

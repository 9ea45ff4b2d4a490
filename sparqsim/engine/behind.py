"""The network behind embedding gathers: pooled vectors into an array, as its first layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.engine.assignment import Runnable
from sparqsim.engine.simulation import simulate
from sparqsim.gather.lookups import Lookups
from sparqsim.memory.config import MemoryConfig
from sparqsim.quantise.codes import quantise
from sparqsim.results.card import Card
from sparqsim.results.gather_report import MlpInfo, MlpRun
from sparqsim.results.report import Report
from sparqsim.results.setting import ArrayInfo
from sparqsim.trace import Layer, Trace
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.source import TensorSource

#: What runs the network where no design is named.
DEFAULT_PE = "mac-8b8b"
#: Largest code of int8 activations.
HIGHEST = 127


@dataclass(frozen=True, eq=False)
class Behind:
    """A network of matrix products that takes pooled vectors.

    Its first layer runs with the pooled vectors as activations, int8 codes at the scale of their
    largest magnitude; where it takes more elements than a vector has, several bags that follow each
    other make an input. The other layers run as they are in the trace, on its own inputs: their
    cycles are counted per input.

    Parameters
    ----------
    trace : Trace
    array : ArrayConfig
    memory : MemoryConfig, optional
    design : Runnable
        What runs every layer, as `simulate` takes it.

    Raises
    ------
    InputError
        Where the first layer is no matrix product of 8-bit codes without zero point, or the trace
        does not say for how many inputs it is.
    """

    trace: Trace
    array: ArrayConfig
    memory: MemoryConfig | None = None
    design: Runnable = DEFAULT_PE

    def __post_init__(self) -> None:
        first, record = self.first, self.first.record
        if first.op == "conv2d" or record.groups != 1 or record.activation_zero_point:
            raise InputError(
                f"layer {first.name!r}: is a {first.op} of {record.groups} groups, zero point "
                f"{record.activation_zero_point}; expected a matrix product of one group without "
                "zero point, which can take pooled vectors"
            )
        if record.activation_bits != 8:
            raise InputError(
                f"layer {first.name!r}: takes activations of {record.activation_bits} bits, "
                "expected 8: pooled vectors are 8-bit codes"
            )
        if self.coverage.inputs is None:
            raise InputError(
                f"{self.trace.metadata.network or 'trace'}: does not say for how many inputs it "
                "is, expected one whose provenance has `coverage`"
            )

    @property
    def first(self) -> Layer:
        """The layer that takes pooled vectors."""
        return self.trace.layers[0]

    @cached_property
    def coverage(self) -> Coverage:
        """For how many inputs the trace is."""
        return Coverage.of(self.trace.metadata.provenance)

    def bags_per_input(self, width: int) -> int:
        """Return how many vectors of so many elements the first layer takes behind each other.

        Raises
        ------
        InputError
            Where it takes no whole number of them.
        """
        taken = self.first.gemm.k
        if taken % width:
            raise InputError(
                f"layer {self.first.name!r}: takes {taken} elements, pooled vectors have {width}; "
                f"expected a multiple of {width}"
            )
        return taken // width

    def inputs(self, lookups: Lookups, width: int) -> int:
        """Return how many inputs the bags make. Raises InputError where some are left over."""
        per_input = self.bags_per_input(width)
        if lookups.bags % per_input:
            raise InputError(
                f"{lookups.source}: {lookups.bags} bags, of which {per_input} make an input of "
                f"layer {self.first.name!r}; expected a multiple of {per_input}"
            )
        return lookups.bags // per_input

    def run(self, read: NDArray[np.float32], lookups: Lookups) -> MlpRun:
        """Return the cycles of the network behind the rows of one format.

        `read`: float32 (rows of the table, width), as the format reads them back.
        """
        inputs = self.inputs(lookups, read.shape[1])
        first_cycles = self._simulated([self._fed(read, lookups, inputs)]).cycles.total
        rest = self._rest_cycles / (self.coverage.inputs or 1)
        return MlpRun(first_layer_cycles=first_cycles, input_cycles=first_cycles / inputs + rest)

    def info(self, lookups: Lookups, width: int) -> MlpInfo:
        """Return what is behind, for look-ups of so many elements."""
        report = self._own_report
        return MlpInfo(
            trace=self.trace.metadata.network,
            trace_sha256=self.trace.sha256,
            layers=len(self.trace.layers),
            first_layer=self.first.name,
            bags_per_input=self.bags_per_input(width),
            inputs=self.inputs(lookups, width),
            traced_inputs=self.coverage.inputs or 1,
            design=report.pe.spec,
            array=ArrayInfo.of(self.array),
        )

    @property
    def card(self) -> Card:
        """The card of the network, on its own inputs."""
        return self._own_report.card

    @cached_property
    def _own_report(self) -> Report:
        return simulate(self.trace, self.design, self.array, memory=self.memory)

    @cached_property
    def _rest_cycles(self) -> int:
        """Cycles of the layers behind the first, of all inputs of the trace."""
        return sum(layer.cycles.total for layer in self._own_report.layers[1:])

    def _simulated(self, layers: Sequence[Layer]) -> Report:
        trace = Trace(layers, **self.trace.metadata.about)
        return simulate(trace, self.design, self.array, memory=self.memory)

    def _fed(self, read: NDArray[np.float32], lookups: Lookups, inputs: int) -> Layer:
        """Return the first layer with pooled vectors as its activations."""
        from sparqsim.gather.pooling import pooled

        vectors = pooled(read, lookups.rows, lookups.starts).reshape(inputs, -1)
        scale = float(np.abs(vectors).max()) / HIGHEST or 1.0
        codes = quantise(vectors, scale, True).codes
        record = self.first.record.model_copy(update={"activation_scale": scale})
        return replace(self.first, record=record, activations_source=TensorSource.of(codes[None]))

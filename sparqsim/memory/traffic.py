"""What the memory system moved, as it stands in reports. All sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import computed_field

from sparqsim.base.record import Name, Record, Summed
from sparqsim.memory.config import DramConfig, MemoryConfig, ScratchpadConfig


class OperandTraffic(Summed):
    """One operand's traffic.

    used_bytes: what the layer needs or makes of it at all. dram_*, sram_*: moved at the DRAM
    channel and at the operand's scratchpad (sram_read: by the array, and by the write-back;
    sram_write: by fetches, and by the array). burst_padding_bytes: moved over the channel besides,
    to fill whole bursts.
    """

    used_bytes: int
    dram_read_bytes: int
    dram_write_bytes: int
    sram_read_bytes: int
    sram_write_bytes: int
    burst_padding_bytes: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def repeated_bytes(self) -> int:
        """Bytes over the channel beyond one transfer of each used byte: halos, refetches, spilled
        and reloaded sums.

        With formats of less than a byte a value, also up to one byte for each region fetched: each
        is rounded up.
        """
        return self.dram_read_bytes + self.dram_write_bytes - self.used_bytes


class Traffic(Summed):
    """Traffic of a layer or a network.

    psum_spill_bytes, psum_reload_bytes: the part of the outputs' DRAM traffic that is partial sums.
    port_stall_cycles: the part of memory_stall in which a scratchpad's port is too narrow for the
    array; the rest waits for the DRAM.
    """

    activations: OperandTraffic
    weights: OperandTraffic
    outputs: OperandTraffic
    psum_spill_bytes: int
    psum_reload_bytes: int
    port_stall_cycles: int

    @property
    def dram_bytes(self) -> int:
        """Bytes over the DRAM channel, without those that only fill bursts."""
        return sum(
            operand.dram_read_bytes + operand.dram_write_bytes
            for operand in (self.activations, self.weights, self.outputs)
        )


class LayerTraffic(Traffic):
    """One layer's traffic and how it was moved.

    loop_order: outermost loop first. stream_chunks: pieces that each tile's stream is cut into.
    storage: of the activations, in effect ('raw' where pairs straddle kernel positions).
    activation_pair_bits, weight_bits: stored bits of two adjacent activations and of a weight.
    resident: for each operand, what stays in a scratchpad half: 'block', 'outer' (all blocks of a
    turn of the outermost loop) or 'group' (all).
    """

    loop_order: str
    stream_chunks: int
    storage: str
    activation_pair_bits: int
    weight_bits: int
    resident: dict[str, str]

    @classmethod
    def of_passes(cls, passes: Sequence[LayerTraffic], used: Mapping[str, int]) -> LayerTraffic:
        """Return the traffic of several passes over a layer, moved as in the first.

        `used`: `used_bytes` of each operand of the whole layer.
        """
        total = Traffic.sum_of(passes)
        operands = {
            name: getattr(total, name).model_copy(update={"used_bytes": size})
            for name, size in used.items()
        }
        counts = {name: getattr(total, name) for name in Traffic.model_fields}
        return passes[0].model_copy(update=counts | operands)


class ScratchpadInfo(Record):
    """A scratchpad; None: no limit."""

    size_kib: float | None
    port_bytes_per_cycle: float | None

    @classmethod
    def of(cls, pad: ScratchpadConfig) -> ScratchpadInfo:
        """Return the record of a scratchpad."""
        return cls(
            size_kib=_finite(pad.size_kib), port_bytes_per_cycle=_finite(pad.port_bytes_per_cycle)
        )


class DramInfo(Record):
    """The DRAM channel; bandwidth None: no limit."""

    bandwidth_bytes_per_cycle: float | None
    latency_cycles: int
    burst_bytes: int
    request_bytes: int
    arbitration: str

    @classmethod
    def of(cls, dram: DramConfig) -> DramInfo:
        """Return the record of a channel."""
        return cls(
            bandwidth_bytes_per_cycle=_finite(dram.bandwidth_bytes_per_cycle),
            latency_cycles=dram.latency_cycles,
            burst_bytes=dram.burst_bytes,
            request_bytes=dram.request_bytes,
            arbitration=dram.arbitration,
        )


class MemoryInfo(Record):
    """The memory system of a report: as `MemoryConfig`."""

    name: Name
    dram: DramInfo
    activations: ScratchpadInfo
    weights: ScratchpadInfo
    outputs: ScratchpadInfo
    storage: str
    output_bits: int
    psum_bits: int
    loop_order: str

    @classmethod
    def of(cls, memory: MemoryConfig) -> MemoryInfo:
        """Return the record of a memory system."""
        return cls(
            name=memory.name,
            dram=DramInfo.of(memory.dram),
            activations=ScratchpadInfo.of(memory.activations),
            weights=ScratchpadInfo.of(memory.weights),
            outputs=ScratchpadInfo.of(memory.outputs),
            storage=memory.storage,
            output_bits=memory.output_bits,
            psum_bits=memory.psum_bits,
            loop_order=memory.loop_order,
        )


def _finite(value: float) -> float | None:
    return None if value == float("inf") else float(value)

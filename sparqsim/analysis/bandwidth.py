"""Speedup against DRAM bandwidth: where the gain of a design dies.

The data of `plot --kind bandwidth`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import ClassVar, Literal, Self

from pydantic import Field, computed_field, model_validator

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError
from sparqsim.base.record import Name, Record, Text, check_counts
from sparqsim.base.tabular import Row, Tabular, short_name
from sparqsim.base.wording import counted
from sparqsim.engine.assignment import Assignment, Runnable, assigned, names_of
from sparqsim.engine.models import Task
from sparqsim.memory import recurrence
from sparqsim.memory.config import MemoryConfig
from sparqsim.memory.system import prepare
from sparqsim.memory.traffic import MemoryInfo
from sparqsim.pe.signs import MAGNITUDE
from sparqsim.results.setting import ArrayInfo, Provenance, timing_notes
from sparqsim.trace import Trace
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.reader import as_trace

#: Bytes per cycle: from starved to plenty.
BANDWIDTHS = tuple(float(1 << power) for power in range(10))


class BandwidthCurves(Tabular, Record):
    """Total cycles of several designs on one trace, array and memory at several DRAM bandwidths.

    bandwidths: bytes per cycle, None: no limit. cycles: for each design, total cycles at each
    bandwidth. array_cycles: without memory. `memory.dram.bandwidth_bytes_per_cycle` is replaced by
    each of `bandwidths` in turn. cycles_depend_on_values: for each design, False where only shapes
    decide cycles; empty in older files. timing_notes: what must be known to compare the cycles of
    some designs, by design. confound_notes: what the results that curves were made of differ in
    beside the design; absent where nothing does. coverage: for how many inputs of the network
    cycles are, and which operations with multiply-accumulates are not in them. macs:
    multiply-accumulates in the trace; None in older files. macs_left_out_share: of the network's
    multiply-accumulates, the share that is not simulated, 0 to 1; unknown where the trace does not
    say.
    """

    schema_: Literal["sparqsim.bandwidth/1"] = Field(default="sparqsim.bandwidth/1", alias="schema")
    network: Text
    synthetic: Text
    trace_sha256: str
    array: ArrayInfo
    memory: MemoryInfo
    baseline: Name
    order: tuple[Name, ...]
    bandwidths: tuple[float | None, ...]
    cycles: dict[str, tuple[int, ...]]
    array_cycles: dict[str, int]
    cycles_depend_on_values: dict[str, bool] = Field(default_factory=dict)
    timing_notes: dict[str, str] = Field(default_factory=dict)
    confound_notes: tuple[Text, ...] = Field(default=(), exclude_if=lambda notes: not notes)
    coverage: Coverage = Coverage()
    macs: int | None = Field(default=None, ge=1)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def macs_left_out_share(self) -> float | None:
        """Share of the network's multiply-accumulates that is not simulated, 0 to 1; None where not
        known.
        """
        return None if self.macs is None else self.coverage.share_left_out(self.macs)

    @property
    def provenance(self) -> Provenance:
        """Network and trace, as reports tell them."""
        return Provenance(
            version="",
            engine="",
            trace_sha256=self.trace_sha256,
            network=self.network,
            synthetic=self.synthetic,
        )

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        check_counts(self)
        if self.baseline not in self.order or len(set(self.order)) < len(self.order):
            raise ValueError(
                f"order={self.order}: expected designs once, {self.baseline!r} among them"
            )
        if any(value is not None and value <= 0 for value in self.bandwidths):
            raise ValueError(f"bandwidths={self.bandwidths}: expected them above 0")
        for name, told in (("cycles", self.cycles), ("array_cycles", self.array_cycles)):
            if set(told) != set(self.order):
                raise ValueError(f"{name}: has {', '.join(told)}, expected {', '.join(self.order)}")
        for name in self.order:
            if len(self.cycles[name]) != len(self.bandwidths):
                raise ValueError(
                    f"cycles.{name}: {len(self.cycles[name])} figures, expected one for each of "
                    f"{len(self.bandwidths)} bandwidths"
                )
            if min((*self.cycles[name], self.array_cycles[name])) < 1:
                raise ValueError(f"cycles.{name}: expected at least 1 cycle each")
        return self

    @computed_field  # type: ignore[prop-decorator]
    @property
    def speedup(self) -> dict[str, tuple[float, ...]]:
        """Total cycles of the baseline over total cycles of each design, at each bandwidth."""
        base = self.cycles[self.baseline]
        return {
            name: tuple(one / other for one, other in zip(base, self.cycles[name], strict=True))
            for name in self.order
        }

    @computed_field  # type: ignore[prop-decorator]
    @property
    def array_speedup(self) -> dict[str, float]:
        """The same without memory."""
        return {
            name: self.array_cycles[self.baseline] / self.array_cycles[name] for name in self.order
        }

    HTML_COLUMNS: ClassVar = {
        "pe": "design",
        "memory_modelled": "memory modelled",
        "dram_bandwidth_bytes_per_cycle": "DRAM bandwidth (bytes per cycle)",
        "cycles_total": "cycles",
        "speedup": "speedup (x)",
    }

    def flat_rows(self) -> list[Row]:
        """Return a row per design and bandwidth, 'inf' without a limit.

        The last row of a design is without memory, and has no bandwidth.
        """
        coverage = self.coverage.flat_fields(self.macs)
        bandwidths = ["inf" if limit is None else limit for limit in self.bandwidths]
        rows = []
        for name in self.order:
            figures = [
                *zip(bandwidths, self.cycles[name], self.speedup[name], strict=True),
                (None, self.array_cycles[name], self.array_speedup[name]),
            ]
            for at, (bandwidth, cycles, speedup) in enumerate(figures):
                rows.append(
                    {
                        "pe": name,
                        "baseline": self.baseline,
                        "memory_modelled": at < len(self.bandwidths),
                        "dram_bandwidth_bytes_per_cycle": bandwidth,
                        "cycles_total": cycles,
                        "cycles_per_input": self.coverage.per_input(cycles),
                        "speedup": speedup,
                        **coverage,
                        "timing_note": self.timing_notes.get(name, ""),
                    }
                )
        return rows

    def summary(self) -> str:
        """Return designs, bandwidths, network, array and memory."""
        source = short_name(self.network) or f"trace {self.trace_sha256[:12]}"
        drawn = " [SYNTHETIC values]" if self.synthetic else ""
        array = self.array
        return (
            f"{counted(len(self.order), 'design')} over {self.baseline} at "
            f"{counted(len(self.bandwidths), 'bandwidth')} on {source}{drawn}, "
            f"array {array.size} {array.dataflow}, memory {self.memory.name}"
        )


def bandwidth_curves(
    trace: Trace | str | PathLike[str],
    designs: Sequence[Runnable],
    array: ArrayConfig,
    memory: MemoryConfig,
    *,
    baseline: str,
    kept: str | None,
    signed: str = MAGNITUDE,
    bandwidths: Sequence[float] = BANDWIDTHS,
) -> BandwidthCurves:
    """Return total cycles of several designs at every DRAM bandwidth.

    Parameters
    ----------
    trace : Trace, or the path of a trace file
    designs : sequence of str, PEDesign, EngineModel or Assignment
        As `simulate` takes them, the baseline among them.
    array : ArrayConfig
    memory : MemoryConfig
        Its DRAM bandwidth is replaced.
    baseline : str
        The design of speedup 1, or the assignment, as results call it.
    kept : {'honest', 'ideal'} or None
        How layers marked keep_8bit stay at 8 bits, as `simulate` takes it; None: they run as the
        others.
    signed : {'magnitude', 'refuse'}
        As for `simulate`.
    bandwidths : sequence of float
        Bytes per cycle; `math.inf`: no limit.

    Raises
    ------
    InputError
        For a design that cannot take a layer's activations or does not support the dataflow, that
        is named twice, or for a baseline that is none of them.
    """
    trace, runs = as_trace(trace), [_run(assigned(pe).with_signed(signed), kept) for pe in designs]
    names = names_of(runs)
    if baseline not in names:
        raise InputError(f"baseline={baseline!r}: expected one of {', '.join(names)}")
    for run in runs:
        run.check(trace)
        for model in run.models:
            model.refuse_array(array)
        for layer in trace.layers:
            run.bound(layer).refuse_layer(layer, array)
    source = trace.metadata
    limits = [None if value == math.inf else float(value) for value in bandwidths]
    cycles, alone = {}, {}
    for run in runs:
        *at_each, alone[run.spec] = _totals(run, trace, array, memory, bandwidths)
        cycles[run.spec] = tuple(at_each)
    infos = {run.spec: run.info(array) for run in runs}
    return BandwidthCurves(
        network=source.network,
        synthetic=source.synthetic,
        trace_sha256=trace.sha256,
        array=ArrayInfo.of(array),
        memory=MemoryInfo.of(memory),
        baseline=baseline,
        order=tuple(infos),
        bandwidths=tuple(limits),
        cycles=cycles,
        array_cycles=alone,
        cycles_depend_on_values={
            name: each.cycles_depend_on_values for name, each in infos.items()
        },
        timing_notes=timing_notes(infos.values()),
        coverage=Coverage.of(source.provenance),
        macs=sum(layer.gemm.macs for layer in trace.layers),
    )


def _totals(
    run: Assignment,
    trace: Trace,
    array: ArrayConfig,
    memory: MemoryConfig,
    bandwidths: Sequence[float],
) -> list[int]:
    """Return total cycles at every bandwidth, then without memory."""
    drams = [replace(memory.dram, bandwidth_bytes_per_cycle=value) for value in bandwidths]
    memories = [replace(memory, dram=dram) for dram in drams]
    totals = [0] * (len(memories) + 1)
    for layer in trace.layers:
        running, task = run.bound(layer), Task(layer, array)
        timing = running.time(task)
        totals[-1] += timing.total
        passes = prepare(layer, running.loops(task, timing), memory)
        for at, each in enumerate(memories):
            for programs in passes:
                totals[at] += min(recurrence.run(one.program, each).total for one in programs)
    return totals


def _run(run: Assignment, kept: str | None) -> Assignment:
    """Return the assignment with what layers marked keep_8bit run on."""
    return run if kept is None else run.keeping_8bit(kept)

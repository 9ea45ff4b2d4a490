"""Coefficients from gate-level samples: found again, the same every time; faults in counts and fit are seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from energy_cases import ARRAY, layer, table, trace
from hypothesis import given
from hypothesis import strategies as st

import sparqsim
from sparqsim.base.errors import InputError
from sparqsim.cli.rtl_fit import fitted_table
from sparqsim.cost import columns, facts, joint, rows
from sparqsim.cost.fit import NOT_SAMPLED, LayerPoints, fitted_counts, sample_toggles
from sparqsim.cost.joint import ToggleCounter
from sparqsim.cost.memory import load_memory
from sparqsim.cost.nonnegative import nonnegative_least_squares
from sparqsim.cost.paths.registry import path_of
from sparqsim.cost.plan import EnergyPlan
from sparqsim.cost.table import EDGE_COUNTS, PE_COUNTS, EnergyTable, PerCycle
from sparqsim.cost.toggles import Toggles, defined_toggles
from sparqsim.cost.trying import Measured, table_of, tried_on
from sparqsim.rtl.gates.record import (
    Compared,
    CycleEnergies,
    CycleKinds,
    DesignSamples,
    EnergyReference,
    LayerSamples,
    LibraryInfo,
    PartEnergies,
)

CYCLE = CycleEnergies(switching_pj=4.0, internal_pj=5.0, clock_pj=7.0, leakage_pj=0.5)
DRAIN = CycleEnergies(switching_pj=2.0, internal_pj=3.0, clock_pj=8.0, leakage_pj=0.75)
OTHER = CycleEnergies(switching_pj=1.0, internal_pj=6.0, clock_pj=9.0, leakage_pj=0.25)
CYCLES = CycleKinds(
    idle=CYCLE, zero_operands=OTHER, padded_row=OTHER, padded_column=OTHER, drain=DRAIN
)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(6, 30))
def test_least_squares_meet_the_conditions_of_a_minimum(
    seed: int, columns_: int, rows_: int
) -> None:
    """Kuhn and Tucker: no entry negative; the gradient zero where one is free, else not downhill."""
    random = np.random.default_rng(seed)
    a, b = random.uniform(0, 5, (rows_, columns_)), random.normal(1, 4, rows_)
    x = nonnegative_least_squares(a, b)
    gradient = a.T @ (b - a @ x)
    scale = np.abs(a.T @ b).max() + 1
    assert (x >= 0).all()
    assert (np.abs(gradient[x > 0]) < 1e-7 * scale).all()
    assert (gradient[x == 0] < 1e-7 * scale).all()


def test_a_column_of_zeros_has_the_coefficient_zero() -> None:
    a = np.array([[1.0, 0.0], [2.0, 0.0]])
    x = nonnegative_least_squares(a, np.array([2.0, 4.0]))
    assert x.tolist() == [pytest.approx(2.0), 0.0]


def _drawn(seed: int, samples: int = 12, k: int = 20) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.integers(0, 256, (samples, k)) * (random.random((samples, k)) < 0.6)
    return x.astype(np.uint8), random.integers(-128, 128, (samples, k)).astype(np.int8)


@pytest.mark.parametrize("name", ["mac-8b8b", "mac-4b4b", "sparq-5opt", "sparq-exact"])
def test_samples_are_counted_as_pes_of_their_own(name: str) -> None:
    design = sparqsim.get_pe(name)
    path = path_of(design)
    assert path is not None
    x, w = _drawn(1)
    expected = [
        defined_toggles(path, design, a[None], b[:, None]) for a, b in zip(x, w, strict=True)
    ]
    assert sample_toggles(design, x, w) == expected


def _record(loaded: sparqsim.Trace, design: str, costs: EnergyTable) -> EnergyReference:
    """A record of energies that are exactly what coefficients say, of every output."""
    pe, samples = sparqsim.get_pe(design), []
    for each in loaded.layers:
        lowered = each.lower()
        at = [(0, m, n) for m in range(lowered.m) for n in range(lowered.n)]
        group, m, n = np.array(at).T
        x, w = lowered.rows()[group, m], lowered.weights[group, :, n]
        toggles = sample_toggles(pe, x, w)
        steps = np.full(len(at), pe.steps(lowered.k))
        if pe.cost == "activations":
            steps = pe.step_cycles(x).sum(axis=1)
        of_pe, of_edge = (
            _energies(costs, design, names, toggles, steps) for names in (PE_COUNTS, EDGE_COUNTS)
        )
        samples.append(
            LayerSamples(
                layer=each.name,
                signed=False,
                macs=lowered.k,
                positions=tuple(at),
                step_cycles=tuple(steps.tolist()),
                pe=of_pe,
                edge=of_edge,
                compared=Compared(sums=0, nets=0, outputs=0),
            )
        )
    return EnergyReference(
        trace="drawn",
        trace_sha256=loaded.sha256,
        tools=("none",),
        library=LibraryInfo(files=("made-up",), names=("made-up",), corner="t", voltage_v=1.0),
        flow="default",
        clock_ns=2.0,
        slew_ns=0.1,
        rows=4,
        cols=3,
        seed=0,
        samples=48,
        designs=(
            DesignSamples(
                design=design,
                pe_cells=1,
                edge_cells=1,
                pe_cycles=CYCLES,
                edge_cycles=CYCLES,
                layers=tuple(samples),
            ),
        ),
    )


def _energies(
    costs: EnergyTable, design: str, names: Any, toggles: list[Toggles], steps: np.ndarray
) -> PartEnergies:
    counts = costs.designs[design].counts
    moving = {
        part: tuple(
            sum(getattr(each, name) * getattr(counts[name], part) for name in names)
            for each in toggles
        )
        for part in ("switching_pj", "internal_pj")
    }
    return PartEnergies(
        **moving,
        clock_pj=tuple((steps * CYCLE.clock_pj).tolist()),
        leakage_pj=tuple((steps * CYCLE.leakage_pj).tolist()),
    )


def _measured(design: str, seed: int = 0) -> Measured:
    layers = [layer(f"l{at}", seed + at, k=8 + 9 * at) for at in range(4)]
    loaded = trace(*layers)
    return Measured(_record(loaded, design, table()), loaded, "made up")


@pytest.mark.parametrize("design", ["mac-8b8b", "sparq-5opt", "sparq-exact"])
def test_coefficients_are_found_again(design: str) -> None:
    fit, test = _measured(design), _measured(design, 50)
    found = table_of("found", fit, [test], 45.0)
    made, again = table().designs[design].counts, found.designs[design].counts
    for name, cost in made.items():
        if name in NOT_SAMPLED:
            assert again[name].switching_pj == DRAIN.switching_pj
            assert again[name].internal_pj == DRAIN.internal_pj
        elif design != "mac-8b8b" or name not in EDGE_COUNTS:
            assert again[name].switching_pj == pytest.approx(cost.switching_pj, rel=1e-3)
            assert again[name].internal_pj == pytest.approx(cost.internal_pj, rel=1e-3)
    assert found.designs[design].pe_cycle == PerCycle(clock_pj=7.0, leakage_pj=0.5)
    assert found.designs[design].edge_cycle == PerCycle(clock_pj=7.0, leakage_pj=0.5)
    # Every output is a sample, so the whole layer is what was sampled.
    assert found.designs[design].worst_percent == pytest.approx(0, abs=1e-3)
    assert len(found.designs[design].tested) == 4


def _noisy(seed: int) -> list[LayerPoints]:
    """Layers whose energies no coefficients give, of sizes far apart."""
    random, points = np.random.default_rng(seed), []
    for size in (1.0, 30.0, 900.0):
        counts = size * random.uniform(0, 9, (5, len(fields(Toggles))))
        pe, edge = size * random.uniform(1, 9, (2, 5, 2))
        points.append(LayerPoints(counts, pe, edge, *size * random.uniform(20, 60, (2, 5))))
    return points


def _cost_of(points: list[LayerPoints], names: list[str], chosen: np.ndarray) -> float:
    """Squares of relative errors, of samples once and of a layer's mean ten times its samples."""
    every = [each.name for each in fields(Toggles)]
    cost = 0.0
    for each in points:
        off = [
            sum(row[every.index(name)] * value for name, value in zip(names, chosen, strict=True))
            - energy
            for row, energy in zip(each.counts, each.pe[:, 0], strict=True)
        ]
        cost += sum((one / total) ** 2 for one, total in zip(off, each.pe_total, strict=True))
        cost += 10 * len(off) * (sum(off) / sum(each.pe_total)) ** 2
    return cost


@pytest.mark.parametrize("seed", range(4))
def test_no_other_coefficients_are_nearer_to_noisy_samples(seed: int) -> None:
    points, names = _noisy(seed), [name for name in PE_COUNTS if name not in NOT_SAMPLED]
    found = fitted_counts(points, CYCLES)
    best = np.array([found[name].switching_pj for name in names])
    least = _cost_of(points, names, best)
    for at in range(len(names)):
        for step in (-1e-3, 1e-3):
            moved = best.copy()
            moved[at] = max(0.0, moved[at] + step)
            assert _cost_of(points, names, moved) >= least


def test_two_fits_give_the_same_bytes() -> None:
    one, two = (
        table_of("t", _measured("sparq-5opt"), [_measured("sparq-5opt", 50)], 45.0)
        for _ in range(2)
    )
    assert one.to_json() == two.to_json()
    assert EnergyTable.from_json(one.to_json()) == one


def test_the_fit_sees_no_test() -> None:
    fit = _measured("sparq-5opt")
    alone, tried = (table_of("t", fit, tests, 45.0) for tests in ([], [_measured("sparq-5opt", 9)]))
    assert alone.designs["sparq-5opt"].counts == tried.designs["sparq-5opt"].counts


def test_a_table_tried_later_is_the_table_tried_at_once() -> None:
    fit, test, other = (_measured("sparq-5opt", seed) for seed in (0, 50, 90))
    at_once = table_of("t", fit, [test], 45.0)
    read = EnergyTable.from_json(table_of("t", fit, [other], 45.0).to_json())
    assert tried_on(read, [test]) == at_once


def _twice(cost: Any) -> Any:
    """All energies of a coefficient, doubled."""
    return type(cost)(**{name: 2 * value for name, value in cost.model_dump().items()})


def test_a_table_of_twice_the_energies_errs_by_its_own_height() -> None:
    """Every output is a sample, so what the model says of a layer is twice what was measured."""
    fitted = table_of("t", _measured("sparq-exact"), [], 45.0)
    (costs,) = fitted.designs.values()
    doubled = costs.model_copy(
        update={
            "counts": {name: _twice(cost) for name, cost in costs.counts.items()},
            "pe_cycle": _twice(costs.pe_cycle),
            "edge_cycle": _twice(costs.edge_cycle),
        }
    )
    table_ = fitted.model_copy(update={"designs": {"sparq-exact": doubled}})
    tried = tried_on(table_, [_measured("sparq-exact", 50)]).designs["sparq-exact"]
    assert [each.error_percent for each in tried.tested] == pytest.approx([100.0] * 4, rel=1e-3)
    assert tried.counts == doubled.counts


def _plain_pj_per_mac(measured: Measured) -> list[float]:
    """Energies per MAC of a record's layers, summed sample by sample."""
    told = []
    for each in measured.record.designs[0].layers:
        total = 0.0
        for share, part in ((1, each.pe), (1 / measured.record.cols, each.edge)):
            for kind in ("switching_pj", "internal_pj", "clock_pj", "leakage_pj"):
                total += share * sum(getattr(part, kind))
        told.append(total / len(each.positions) / each.macs)
    return told


def test_one_energy_for_all_layers_is_the_mean_of_the_fit_s() -> None:
    fit, test = _measured("sparq-5opt"), _measured("sparq-5opt", 50)
    tried = tried_on(table_of("t", fit, [], 45.0), [test]).designs["sparq-5opt"].tested
    of_fit = _plain_pj_per_mac(fit)
    constant = sum(of_fit) / len(of_fit)
    expected = [100 * (constant / energy - 1) for energy in _plain_pj_per_mac(test)]
    assert [each.constant_error_percent for each in tried] == pytest.approx(expected, rel=1e-4)


def test_a_record_of_other_designs_than_the_table_s_is_refused() -> None:
    fitted = table_of("t", _measured("sparq-5opt"), [], 45.0)
    with pytest.raises(InputError, match=r"is of mac-8b8b, .* expected some of sparq-5opt"):
        tried_on(fitted, [_measured("mac-8b8b", 50)])


def test_a_record_of_another_trace_is_refused() -> None:
    measured = _measured("mac-8b8b")
    with pytest.raises(InputError, match="SHA-256"):
        Measured(measured.record, trace(layer("l0", 77)), "made up")


def test_a_test_on_the_trace_of_the_fit_is_refused() -> None:
    measured = _measured("mac-8b8b")
    with pytest.raises(InputError, match="own trace"):
        table_of("t", measured, [measured], 45.0)


def test_a_test_at_another_clock_is_refused() -> None:
    fit, test = _measured("mac-8b8b"), _measured("mac-8b8b", 50)
    slower = Measured(test.record.model_copy(update={"clock_ns": 3.0}), test.trace, "slower")
    with pytest.raises(InputError, match="clock_ns"):
        table_of("t", fit, [slower], 45.0)


def _changed(measured: Measured, **fields_: Any) -> Measured:
    """The record with other fields in its first design's first layer."""
    (design,) = measured.record.designs
    first, *others = design.layers
    layers = (first.model_copy(update=fields_), *others)
    designs = (design.model_copy(update={"layers": layers}),)
    record = measured.record.model_copy(update={"designs": designs})
    return Measured(record, measured.trace, "changed")


@pytest.mark.parametrize(("axis", "beyond"), [(0, 1), (1, 999), (2, 999)])
def test_a_position_outside_its_layer_is_refused(axis: int, beyond: int) -> None:
    measured = _measured("mac-8b8b")
    first, *others = measured.record.designs[0].layers[0].positions
    outside = tuple(beyond if at == axis else value for at, value in enumerate(first))
    with pytest.raises(InputError, match=r"changed: mac-8b8b, layer 'l0': position .* less than"):
        table_of("t", _changed(measured, positions=(outside, *others)), [], 45.0)


def test_samples_of_other_activations_than_the_trace_s_are_refused() -> None:
    with pytest.raises(InputError, match=r"of int8 activations; expected uint8, the trace's"):
        table_of("t", _changed(_measured("mac-8b8b"), signed=True), [], 45.0)


def test_a_sample_without_energy_is_refused() -> None:
    measured = _measured("mac-8b8b")
    nothing = (0.0,) * len(measured.record.designs[0].layers[0].positions)
    free = PartEnergies(
        switching_pj=nothing, internal_pj=nothing, clock_pj=nothing, leakage_pj=nothing
    )
    with pytest.raises(InputError, match=r"a PE's sample of 0\.0 pJ; expected more than 0"):
        table_of("t", _changed(measured, pe=free), [], 45.0)


@pytest.mark.parametrize("times", [0, 2])
def test_designs_of_a_record_are_there_once_each(times: int) -> None:
    measured = _measured("mac-8b8b")
    record = measured.record.model_copy(update={"designs": measured.record.designs * times})
    with pytest.raises(InputError, match="expected each one once, and one at least"):
        Measured(record, measured.trace, "made up")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"clock_ns": 2.0', '"clock_ns": 0', "clock_ns: Input should be greater than 0"),
        ('"cols": 3', '"cols": 0', "cols: Input should be greater than or equal to 1"),
        ('"positions": [[0, 0, 0]', '"positions": [[0, -1, 0]', "greater than or equal to 0"),
    ],
)
def test_a_record_that_cannot_be_is_refused(before: str, after: str, said: str) -> None:
    text = " ".join(_measured("mac-8b8b").record.to_json().split()).replace("[ ", "[")
    text = text.replace(" ]", "]")
    assert before in text
    with pytest.raises(InputError, match=said):
        EnergyReference.from_json(text.replace(before, after, 1), "changed.json")


# Faults: each is put in, and a check that passes without it must fail.


def check_counts() -> None:
    """Counts of an array are those of every PE stepped."""
    design = sparqsim.get_pe("sparq-5opt")
    path = path_of(design)
    assert path is not None
    x, w = _drawn(3, samples=9, k=13)
    counter = ToggleCounter(path, design, np.ascontiguousarray(w[:5].T[None]))
    counter.add(x[None])
    assert counter.toggles(4, 3) == defined_toggles(path, design, x, w[:5].T, 4, 3)


def check_energy() -> None:
    """A layer's energy is that of the definition's counts, put together here."""
    one = layer("a", 5, m=9, k=13, n=5)
    report = sparqsim.simulate(
        trace(one), "sparq-5opt", ARRAY, energy=EnergyPlan(table(), load_memory("45nm"))
    )
    design, lowered = sparqsim.get_pe("sparq-5opt"), one.lower()
    path = path_of(design)
    assert path is not None
    toggles = defined_toggles(path, design, lowered.rows()[0], lowered.weights[0], 4, 3)
    costs = table().designs["sparq-5opt"]
    energy = report.layers[0].energy_pj
    assert energy is not None
    for part, names in ((energy.pe, PE_COUNTS), (energy.edge, EDGE_COUNTS)):
        for kind in ("switching", "internal"):
            expected = sum(
                getattr(toggles, name) * getattr(costs.counts[name], f"{kind}_pj") for name in names
            )
            assert getattr(part, kind) == pytest.approx(expected, rel=1e-12)
    cycles = report.cycles.total
    assert energy.pe.clock == pytest.approx(12 * cycles * costs.pe_cycle.clock_pj)
    assert energy.edge.clock == pytest.approx(4 * cycles * costs.edge_cycle.clock_pj)
    assert energy.time_ns == pytest.approx(2.0 * cycles)


def _swap_rise_and_fall(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rows, "RISE", facts.FALL)
    patch.setattr(rows, "FALL", facts.RISE)
    patch.setattr(rows, "_packed_facts", rows._packed_facts.__wrapped__)
    patch.setattr(joint, "_prepared", joint._prepared.__wrapped__)


def _own_lane_always(patch: pytest.MonkeyPatch) -> None:
    design = sparqsim.get_pe("sparq-5opt")
    path = path_of(design)
    assert path is not None
    tables = path.tables(design)
    own = np.full_like(tables.first_lanes, 4)
    patch.setattr(joint, "_prepared", joint._prepared.__wrapped__)
    patch.setattr(type(path), "tables", lambda *_: replace(tables, first_lanes=own, last_lanes=own))


def _weights_never_rest(patch: pytest.MonkeyPatch) -> None:
    original = columns._columns

    def without_the_last(before: Any, now: Any, *rest: Any) -> Any:
        words, told = original(before, now, *rest)
        words[:, -1] = 0
        return words, told

    patch.setattr(columns, "_columns", without_the_last)


def _no_padding(patch: pytest.MonkeyPatch) -> None:
    original = ToggleCounter.by_group

    def of_one_pe(self: ToggleCounter, rows_: int, cols: int) -> list[Toggles]:
        alone = original(self, 1, 1)
        return [
            replace(
                one,
                drain_moves=each.drain_moves,
                edge_used_bits=each.edge_used_bits,
                edge_raw_bits=each.edge_raw_bits,
            )
            for one, each in zip(alone, original(self, rows_, cols), strict=True)
        ]

    patch.setattr(ToggleCounter, "by_group", of_one_pe)


def _zero_signs(patch: pytest.MonkeyPatch) -> None:
    original = joint._of_multipliers

    def positive(sums: Any) -> dict[str, Any]:
        told = original(sums)
        return told | {"signs": told["signs"] * 0}

    patch.setattr(joint, "_of_multipliers", positive)


def _clock_of_used_pes(patch: pytest.MonkeyPatch) -> None:
    from sparqsim.cost import plan

    original = plan.array_energy
    patch.setattr(
        plan,
        "array_energy",
        lambda costs, toggles, pes, edges, factor: original(costs, toggles, pes - 1, edges, factor),
    )


def _edge_of_every_pe(patch: pytest.MonkeyPatch) -> None:
    from sparqsim.cost import plan

    original = plan.array_energy
    patch.setattr(
        plan,
        "array_energy",
        lambda costs, toggles, pes, edges, factor: original(costs, toggles, pes, pes, factor),
    )


def _switching_for_internal(patch: pytest.MonkeyPatch) -> None:
    from sparqsim.cost import model

    original = model.CellEnergy
    patch.setattr(
        model,
        "CellEnergy",
        lambda **parts: original(
            **parts | {"internal": parts["switching"], "switching": parts["internal"]}
        ),
    )


FAULTS_IN_COUNTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "exchanges bits that rise and fall": _swap_rise_and_fall,
    "multipliers meet their own lane's weight always": _own_lane_always,
    "weights do not go back to zeros": _weights_never_rest,
    "padded PEs take no operands": _no_padding,
    "forgets the products' signs": _zero_signs,
}
FAULTS_IN_ENERGY: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "forgets a PE's clock": _clock_of_used_pes,
    "counts an edge unit for every PE": _edge_of_every_pe,
    "exchanges switching and internal energy": _switching_for_internal,
}


@pytest.mark.parametrize("fault", [None, *FAULTS_IN_COUNTS])
def test_a_fault_in_the_counts_is_seen(fault: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault is None:
        check_counts()
        return
    FAULTS_IN_COUNTS[fault](monkeypatch)
    with pytest.raises(AssertionError):
        check_counts()


@pytest.mark.parametrize("fault", [None, *FAULTS_IN_ENERGY])
def test_a_fault_in_the_energy_is_seen(fault: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault is None:
        check_energy()
        return
    FAULTS_IN_ENERGY[fault](monkeypatch)
    with pytest.raises(AssertionError):
        check_energy()


def _points(noise: float) -> list[LayerPoints]:
    random = np.random.default_rng(1)
    names = [each.name for each in fields(Toggles)]
    made = []
    for _ in range(4):
        counts = random.integers(1, 200, (20, len(names))).astype(float)
        energy = counts[:, : len(PE_COUNTS)].sum(axis=1) * (1 + noise * random.normal(size=20))
        moving = np.stack([energy, 2 * energy], axis=1)
        total = 3 * energy + 10
        made.append(LayerPoints(counts, moving, moving * 0, total, total * 0))
    return made


def test_a_design_without_an_edge_has_coefficients_of_zero_there() -> None:
    counts = fitted_counts(_points(0.1), CYCLES)
    assert all(counts[name].switching_pj == 0 for name in EDGE_COUNTS)
    assert all(cost.switching_pj >= 0 for cost in counts.values())


def _written(measured: Measured, name: str, folder: Path) -> str:
    """Record and trace in files, as RECORD=TRACE."""
    record, traced = folder / f"{name}.json", folder / f"{name}.safetensors"
    measured.trace.save(traced)
    sha256 = sparqsim.load_trace(traced).sha256
    record.write_text(measured.record.model_copy(update={"trace_sha256": sha256}).to_json())
    return f"{record}={traced}"


def test_the_command_tries_a_table_and_keeps_its_coefficients(run: Any, tmp_path: Path) -> None:
    fit, one, two = (
        _written(_measured("mac-8b8b", seed), f"of{seed}", tmp_path) for seed in (0, 50, 90)
    )
    fitted, tried = tmp_path / "fitted.json", tmp_path / "tried.json"
    made = run("rtl", "fit", *fit.split("="), "--node", 45, "--test", one, "-o", fitted)
    assert (made.code, made.err) == (0, "")
    shown = run("rtl", "try", fitted, one, two, "-o", tried)
    assert (shown.code, shown.err) == (0, "")
    before, after = EnergyTable.load(fitted), EnergyTable.load(tried)
    assert after.designs["mac-8b8b"].counts == before.designs["mac-8b8b"].counts
    assert after.designs["mac-8b8b"].tested[:4] == before.designs["mac-8b8b"].tested
    assert len(after.designs["mac-8b8b"].tested) == 8
    refused = run("rtl", "try", fitted, "of50.json")
    assert (refused.code, "RECORD=TRACE 'of50.json': expected RECORD=TRACE" in refused.err) == (
        2,
        True,
    )


@pytest.mark.parametrize(("kind", "part"), [("idle", "clock_pj"), ("drain", "internal_pj")])
def test_negative_energies_give_no_table(kind: str, part: str, tmp_path: Path) -> None:
    measured = _measured("mac-8b8b")
    (design,) = measured.record.designs
    of_kind = getattr(design.pe_cycles, kind).model_copy(update={part: -1.0})
    cycles = design.pe_cycles.model_copy(update={kind: of_kind})
    designs = (design.model_copy(update={"pe_cycles": cycles}),)
    record, traced = tmp_path / "record.json", tmp_path / "drawn.safetensors"
    measured.trace.save(traced)
    sha256 = sparqsim.load_trace(traced).sha256
    changed = {"designs": designs, "trace_sha256": sha256}
    record.write_text(measured.record.model_copy(update=changed).to_json())
    with pytest.raises(InputError, match=rf"record.json: gives no table of energy: {part}"):
        fitted_table("t", (str(record), str(traced)), [], 45.0)

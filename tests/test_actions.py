"""Actions: every count is counted again from the steps of the processes, and files without actions
are still read.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim import ArrayConfig, InputError, Layer
from sparqsim.analysis.network import layer_outcome
from sparqsim.array.grid import TileGrid
from sparqsim.array.registry import get_dataflow
from sparqsim.engine.models import queue_array_definition
from sparqsim.event.layer import LayerTiles
from sparqsim.event.run import run_tiles
from sparqsim.html.actions import actions_table
from sparqsim.html.definitions import meaning_in
from sparqsim.html.gather import Gathered
from sparqsim.html.page import page_text
from sparqsim.memory import DramConfig, MemoryConfig, load_accelerator
from sparqsim.results.actions import energy_pj
from sparqsim.results.loading import as_comparison, load_result

FORMATS = Path(__file__).parent / "formats"
#: Dataflow -> what is streamed, along rows, along columns; whether operands stay. Written down
#: again.
FLOWS = {"os": ("smn", False), "ws": ("msn", True), "is": ("nsm", True)}


def gemm(m: int, k: int, n: int, seed: int) -> Layer:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (m, k)) * (rng.random((m, k)) < 0.6)
    w = rng.integers(-128, 128, (k, n)) * (rng.random((k, n)) < 0.7)
    return Layer.from_gemm("gemm", x.astype(np.uint8), w.astype(np.int8))


def recounted(layer: Layer, design: str, array: ArrayConfig) -> dict[str, int]:
    """Count actions from what every step of the processes met: operands that are real or padding,
    and where.
    """
    pe, flow, lowered = sparqsim.get_pe(design), get_dataflow(array.dataflow), layer.lower()
    roles, stays = FLOWS[array.dataflow]
    sizes = {"m": lowered.m, "s": pe.steps(lowered.k), "n": lowered.n}
    stream, rows, cols = (sizes[role] for role in roles)
    cut = LayerTiles(lowered, pe, flow, TileGrid(1, rows, cols, stream, array.rows, array.cols))
    tiles = cut.tiles()

    def step(left, other):
        x, w = (left, other) if flow.activations_from_left else (other, left)
        return pe.step(x.values, w.values, layer.signed)

    run = run_tiles(tiles, step, array, pe.edge_cycles, pe.stage_cycles)
    names = ("left_reads", "top_reads", "right_hops", "down_hops", "psum_writes")
    counts = dict.fromkeys((*(f"array.{name}" for name in names), "pe.steps"), 0)
    work, held = 0, set()
    parts: dict[str, int] = {}
    for done in run.steps:
        tile = tiles[done.tile]
        left = tile.rows[done.row][done.item]
        above = None if tile.cols is None else tile.cols[done.col][done.item]
        stationary = None if tile.held is None else tile.held[done.row][done.col]
        counts["array.psum_writes"] += 1
        counts["array.left_reads"] += done.col == 0 and left.real
        counts["array.right_hops"] += done.col + 1 < array.cols
        if above is not None:
            counts["array.top_reads"] += done.row == 0 and above.real
            counts["array.down_hops"] += done.row + 1 < array.rows
        elif stationary.real:
            held.add((done.tile, done.row, done.col))
        other = above or stationary
        if left.real and other.real:
            counts["pe.steps"] += 1
            work += done.cycles
            for part, cycles in step(left, other).active_cycles.items():
                parts[f"pe.{part}"] = parts.get(f"pe.{part}", 0) + cycles
    counts["pe.padded_steps"] = len(run.steps) - counts["pe.steps"]
    counts["pe.step_cycles"] = work
    counts["pe.idle_cycles"] = run.cycles * array.rows * array.cols - work
    counts["array.stationary_loads"] = len(held)
    counts["array.partial_sums"] = sums_of_layer(
        run, tiles, array, (stream, rows, cols), stays=stays
    )
    return counts | parts


def sums_of_layer(run, tiles, array, sizes, *, stays: bool) -> int:
    """Count the sums that left the array and are outputs or parts of them: those of columns, and
    rows, of the layer.
    """
    _, rows, cols = sizes
    row_tiles = -(-rows // array.rows)
    count = 0
    for tile, of_tile in enumerate(run.sums):
        col_tile, row_tile = divmod(tile, row_tiles)
        for first, col in of_tile:
            in_cols = col_tile * array.cols + col < cols
            count += in_cols and (stays or row_tile * array.rows + first < rows)
    assert len(tiles) == len(run.sums)
    return count


arrays = st.builds(
    ArrayConfig,
    st.integers(1, 4),
    st.integers(1, 4),
    dataflow=st.sampled_from(tuple(FLOWS)),
    coupling=st.sampled_from(["lockstep", "elastic:1", "elastic:3"]),
    overlap=st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(
    arrays,
    st.sampled_from(["mac-8b8b", "mac-4b8b", "sparq-5opt", "sparq-exact", "sysmt-2t"]),
    st.tuples(st.integers(1, 7), st.integers(1, 9), st.integers(1, 7)),
    st.integers(0, 999),
)
def test_actions_are_those_of_the_processes(array, design, sizes, seed):
    layer = gemm(*sizes, seed)
    (found,) = sparqsim.simulate(sparqsim.Trace([layer]), design, array).layers
    counts = {name: action.count for name, action in found.actions.items()}
    expected = recounted(layer, design, array)
    assert {name: count for name, count in counts.items() if count} == {
        name: count for name, count in expected.items() if count
    }


def test_queue_reads_are_the_pairs_that_fire(monkeypatch):
    fired = []
    plain = queue_array_definition.QueuePE.fire
    monkeypatch.setattr(
        queue_array_definition.QueuePE,
        "fire",
        lambda pe, number: (fired.append(number), plain(pe, number)),
    )
    trace, array = sparqsim.Trace([gemm(5, 7, 4, 1)]), ArrayConfig(2, 3)
    report = sparqsim.simulate(trace, "smt-sa-2t", array, engine="event")
    # Each pair that fires is an activation and a weight out of their queues.
    assert report.layers[0].actions["array.queue_reads"].count == 2 * len(fired) > 0
    assert report.layers[0].actions["array.partial_sums"].count == 5 * 4


@pytest.mark.parametrize("dataflow", FLOWS)
def test_memory_actions_are_the_transfers(dataflow):
    memory = MemoryConfig(dram=DramConfig(bandwidth_bytes_per_cycle=3, burst_bytes=16))
    layer, array = gemm(13, 40, 9, 5), ArrayConfig(4, 3, dataflow=dataflow)
    report = sparqsim.simulate(sparqsim.Trace([layer]), "sparq-5opt", array, memory=memory)
    actions = report.layers[0].actions
    program = layer_outcome(layer, sparqsim.get_pe("sparq-5opt"), array, memory)[1].program
    for number, operand in enumerate(("activations", "weights", "outputs")):
        mine = program.engine == number
        padding = sum(-int(size) % 16 for size in program.size[mine])
        assert actions[f"memory.{operand}.burst_padding"].count == padding
        for reads, name in ((True, "dram_read"), (False, "dram_write")):
            moved = int(program.size[mine & (program.reads == reads)].sum())
            assert actions[f"memory.{operand}.{name}"].count == moved
    read = actions["memory.activations.sram_read"]
    assert (read.unit, read.counter) == ("bytes", "memory")
    assert actions["pe.idle_cycles"].count == (
        report.layers[0].counts.pe_cycles - actions["pe.step_cycles"].count
    )


def test_totals_add_layers_up():
    trace = sparqsim.Trace(
        [
            Layer.from_gemm(name, np.ones((3, 4), np.uint8), np.ones((4, 2), np.int8))
            for name in ("a", "b")
        ]
    )
    report = sparqsim.simulate(trace, "mac-8b8b", ArrayConfig(2, 2))
    assert report.totals.actions["pe.steps"].count == 2 * 3 * 4 * 2
    assert list(report.totals.actions) == list(report.layers[0].actions)


def test_energy_is_count_times_energy_of_one():
    layer = gemm(3, 4, 2, 0)
    (found,) = sparqsim.simulate(sparqsim.Trace([layer]), "mac-8b8b", ArrayConfig(2, 2)).layers
    energy = energy_pj(found.actions, {"pe.steps": 0.5, "array.psum_writes": 2})
    # Rows of 3 outputs on 2, columns of 2 on 2: two tiles of 4 steps on 4 PEs.
    assert energy == {"pe.steps": 0.5 * 24, "array.psum_writes": 2 * 32}
    with pytest.raises(InputError, match=r"'pe.step': no action .*did you mean pe.steps"):
        energy_pj(found.actions, {"pe.step": 1})


def test_every_action_is_explained():
    from dataclasses import fields

    from sparqsim.results import actions

    for records in actions.EXPLAINED.values():
        for record in records:
            for each in fields(record):
                assert meaning_in(record, each.name)


@pytest.mark.usefixtures("no_figures")
def test_the_page_lists_actions_with_their_meaning():
    trace = sparqsim.Trace([gemm(5, 7, 4, 1)])
    memory = load_accelerator("edge").memory
    compared = sparqsim.compare(trace, ["sparq-5opt"], ArrayConfig(2, 3), memory=memory)
    table = actions_table(compared.reports["sparq-5opt"])
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    count = compared.reports["sparq-5opt"].totals.actions["array.right_hops"].count
    assert rows["array.right_hops"] == [
        f"{count:,}",
        "operands of a step",
        "array",
        "Operands handed to the next PE on the right.",
    ]
    assert rows["memory.weights.dram_read"][3] == "From the DRAM into the scratchpad."
    assert rows["pe.multiplier_0"][3].startswith("Cycles in which the part works")
    older = actions_table(load_result(FORMATS / "report-1.json"))
    assert {row[0].text.partition(".")[0] for row in older.rows} == {"pe"}, "parts alone"
    text = page_text(Gathered.of([compared]))
    assert "array.right_hops" in text


def under_new_names(layer: dict) -> dict:
    """Return a layer, or the totals, of a file of version 1 as version 2 names its fields."""
    gap, traffic, use = layer["bounds"]["gap"], layer["traffic"], dict(layer["utilization"])
    waiting = {name: gap[name] for name in ("ragged_tiles", "fill_drain", "memory_stall")}
    named = {
        "bounds": {
            "busiest_pe_cycles": layer["bounds"]["slack_cycles"],
            "work_cycles": layer["bounds"]["work_cycles"],
            "gap_cycles": {**waiting, "pe_waiting": gap["waiting"]},
        },
        "utilization": {"used_pes": use.pop("mapping"), **use},
    }
    if traffic is not None:
        moved = {name: traffic[name] for name in traffic if name not in ("kept", "port_stall")}
        named["traffic"] = {**moved, "port_stall_cycles": traffic["port_stall"]}
        if "kept" in traffic:
            named["traffic"]["resident"] = traffic["kept"]
    if "pe" in layer:
        named["run_as"] = layer["pe"]
    former = ("pe", "activity")
    return {name: value for name, value in layer.items() if name not in former} | named


def without_actions(measured: dict) -> dict:
    return {name: value for name, value in measured.items() if name != "actions"}


def test_the_terminal_and_csv_show_actions(run, tmp_path):
    trace = sparqsim.Trace([gemm(5, 7, 4, 1)])
    trace.save(tmp_path / "t.safetensors")
    words = (tmp_path / "t.safetensors", "--array", "2x3", "--format")
    both = sparqsim.compare(trace, ["mac-8b8b", "sparq-5opt"], ArrayConfig(2, 3))
    counts = [both.reports[name].totals.actions for name in both.order]

    shown = run("compare", *words, "markdown", "--pe", "sparq-5opt", "--actions").out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in shown.splitlines()]
    steps = [f"{each['pe.steps'].count:,}" for each in counts]
    assert ["pe.steps", *steps] in rows
    assert ["pe.shifter_0", "-", f"{counts[1]['pe.shifter_0'].count:,}"] in rows

    alone = run("simulate", *words, "markdown", "--pe", "sparq-5opt", "--actions").out
    assert (
        f"| array.right_hops | operands of a step | {counts[1]['array.right_hops'].count:,} |"
        in (" ".join(alone.replace("|", " | ").split()))
    )
    assert "array.right_hops" not in run("simulate", *words, "table", "--pe", "sparq-5opt").out
    *_, total = csv.DictReader(io.StringIO(run("compare", *words, "csv", "--pe", "sparq-5opt").out))
    columns = {name: value for name, value in total.items() if name.startswith("actions_")}
    assert columns == {
        f"actions_{name.replace('.', '_')}": str(action.count) for name, action in counts[1].items()
    }


@pytest.mark.parametrize("name", ["report-1.json", "comparison-1.json"])
def test_files_of_version_1_are_read_under_the_names_of_today(name, tmp_path):
    old = json.loads((FORMATS / name).read_text())
    result = load_result(FORMATS / name)
    new = json.loads(result.to_json())
    assert new["schema"] == old["schema"].replace("/1", "/2")
    result.save(tmp_path / "again.json")
    assert load_result(tmp_path / "again.json") == result
    olds, news = ([each] if "pe" in each else each["reports"].values() for each in (old, new))
    for before, after in zip(olds, news, strict=True):
        assert after["pe"] == before["pe"]
        assert without_actions(after["totals"]) == under_new_names(before["totals"])
        for one, other in zip(before["layers"], after["layers"], strict=True):
            assert without_actions(other) == under_new_names(one)
            counts = {name: each["count"] for name, each in other.get("actions", {}).items()}
            assert counts == {f"pe.{part}": cycles for part, cycles in one["activity"].items()}


def test_a_file_of_version_1_that_was_changed_is_refused():
    old = json.loads((FORMATS / "report-1.json").read_text())
    old["totals"]["bounds"]["slack_cycles"] += 1
    with pytest.raises(InputError, match=r"totals\.bounds\.busiest_pe_cycles"):
        sparqsim.Report.from_json(json.dumps(old))


def test_results_of_both_versions_stand_side_by_side(tmp_path):
    old = load_result(FORMATS / "report-1.json")
    new = old.model_copy(
        update={
            "pe": old.pe.model_copy(update={"name": "other", "spec": "other"}),
            "layers": tuple(
                layer if layer.kept_8bit else layer.model_copy(update={"run_as": "other"})
                for layer in old.layers
            ),
        }
    )
    both = as_comparison([old, new])
    assert json.loads(both.to_json())["schema"] == "sparqsim.comparison/2"
    assert both.from_json(both.to_json()) == both


def test_a_golden_report_of_version_1_is_compared_without_actions():
    from sparqsim.regress.differences import differences

    old = load_result(FORMATS / "report-1.json")
    actions = sparqsim.simulate(
        sparqsim.Trace([gemm(2, 2, 2, 1)]), "mac-8b8b", memory=load_accelerator("edge").memory
    )
    layers = tuple(
        layer.model_copy(update={"actions": actions.layers[0].actions | layer.actions})
        for layer in old.layers
    )
    assert differences(old, old.model_copy(update={"layers": layers})) == ()
    changed = (old.layers[0].model_copy(update={"tiles": 99}), *old.layers[1:])
    assert differences(old, old.model_copy(update={"layers": changed}))

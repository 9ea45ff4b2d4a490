"""The waveform: read back by a small parser, every signal is what the array of processes recorded,
its sums are those

of `matmul`, and its cycles those of the simulation."""

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim.analysis.wave import window_of, write_wave
from sparqsim.array.dataflow import Work
from sparqsim.array.registry import get_dataflow
from sparqsim.event import Tile, run_tiles
from sparqsim.pe.layout import arranged

DESIGNS = ("mac-8b8b", "mac-4b4b", "sparq-5opt", "sparq-exact", "sysmt-2t", "sysmt-4t:variant=W0")
TRACE = Path(__file__).parent.parent / "workloads/digits_resnet.safetensors"


class Waveform:
    """A VCD file as {signal: [(cycle, bits)]}; unknown bits are None."""

    def __init__(self, path):
        names, scope, self.changes, self.end = {}, [], {}, 0
        for line in Path(path).read_text().splitlines():
            if match := re.match(r"\$scope module (\S+)", line):
                scope.append(match[1])
            elif line.startswith("$upscope"):
                scope.pop()
            elif match := re.match(r"\$var wire (\d+) (\S+) (\S+)", line):
                name = ".".join([*scope[1:], match[3]])
                names[match[2]] = name
                self.changes[name] = []
            elif line.startswith("#"):
                self.end = int(line[1:])
            elif match := re.match(r"b(\S+) (\S+)", line) or re.match(r"([01x])(\S+)", line):
                value = None if "x" in match[1] else int(match[1], 2)
                self.changes[names[match[2]]].append((self.end, value))

    def at(self, name, cycle):
        """The value during a cycle."""
        changes = self.changes[name]
        return changes[bisect_right(changes, cycle, key=lambda change: change[0]) - 1][1]

    def signed(self, name, cycle, bits):
        value = self.at(name, cycle)
        return value - (1 << bits) if value >> bits - 1 else value

    def high(self, name):
        """The cycles in which a one-bit signal is 1."""
        return [cycle for cycle in range(self.end) if self.at(name, cycle)]


@st.composite
def tiles(draw, couplings=("lockstep", "broadcast", "elastic:1", "elastic:2", "elastic:5")):
    """A layer (grouped sometimes), a design, an array of up to 4x4, and one of the layer's
    tiles.
    """
    groups, m, k, n = (draw(st.integers(1, most)) for most in (2, 7, 11, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = (
        rng.integers(0, 256, (1, m, 1, groups * k)) * rng.integers(0, 2, (1, m, 1, groups * k))
    ).astype(np.uint8)
    w = rng.integers(-128, 128, (groups * n, 1, k)).astype(np.int8)
    layer = sparqsim.Layer.conv2d("layer", x, w, kernel=(1, 1), groups=groups)
    # Half of the time the one whose steps may take two cycles.
    pe = sparqsim.get_pe(draw(st.sampled_from(DESIGNS) | st.just("sparq-exact")))
    array = sparqsim.ArrayConfig(
        draw(st.integers(1, 4)),
        draw(st.integers(1, 4)),
        draw(st.sampled_from(("os", "ws", "is"))),
        draw(st.sampled_from(couplings)),
        draw(st.booleans()),
    )
    return Drawn(layer, pe, array, draw(st.integers(0, grid_of(layer, pe, array).tiles - 1)))


@dataclass(frozen=True)
class Drawn:
    """A tile of a layer, and what the waveform of it must show, worked out step by step."""

    layer: sparqsim.Layer
    pe: sparqsim.PEDesign
    array: sparqsim.ArrayConfig
    number: int

    @property
    def has_waves(self):
        return not self.array.coupling.startswith("elastic")

    @cached_property
    def grid(self):
        return grid_of(self.layer, self.pe, self.array)

    @cached_property
    def lanes_of(self):
        """Activations (groups, M, S, lanes) and weights (groups, N, S, lanes), unpadded."""
        lowered = self.layer.lower()
        order = self.pe.k_order(lowered.k)
        return arranged(lowered.rows(), order), arranged(lowered.weights.swapaxes(1, 2), order)

    def operands(self, tile, row, col, item):
        """The activations and weights that meet in a PE; zeros beyond the layer."""
        group, rows, cols = self.grid.slices(tile)
        at = dict(
            zip(
                get_dataflow(self.array.dataflow).roles,
                (item, rows.start + row, cols.start + col),
                strict=True,
            )
        )
        return [
            of[group, at[role], at["s"]].tolist()
            if at[role] < of.shape[1] and at["s"] < of.shape[2]
            else [0] * self.pe.lanes
            for of, role in zip(self.lanes_of, "mn", strict=True)
        ]

    def step(self, tile, row, col, item):
        return self.pe.step(*self.operands(tile, row, col, item), False)

    def sum_after(self, done, run):
        """What a PE's sum is after a step: of the items so far where sums stay, of the rows above
        where they move.
        """
        return sum(
            other.value
            for other in run.steps
            if (other.tile, other.col) == (done.tile, done.col)
            and (
                (other.row == done.row and other.item <= done.item)
                if self.array.dataflow == "os"
                else (other.item == done.item and other.row <= done.row)
            )
        )

    def run(self, numbers):
        """What the processes record, given operands that tell where they belong."""
        rows, cols, stream = self.array.rows, self.array.cols, self.grid.stream

        def columns(number):
            if self.array.dataflow == "os":
                return {"cols": [[j] * stream for j in range(cols)]}
            return {"held": [list(range(cols))] * rows}

        tiles = [
            Tile([[(number, i, s) for s in range(stream)] for i in range(rows)], **columns(number))
            for number in numbers
        ]
        return run_tiles(
            tiles,
            lambda left, col: self.step(left[0], left[1], col, left[2]),
            self.array,
            self.pe.edge_cycles,
            self.pe.stage_cycles,
        )

    def drawn(self, tmp):
        path = Path(tmp) / "tile.vcd"
        write_wave(path, sparqsim.Trace([self.layer]), self.pe, self.array, tile=self.number)
        return Waveform(path)

    @cached_property
    def shown(self):
        """The numbers of the tiles in the waveform."""
        window = window_of(self.layer, self.pe, self.array, self.number)
        return range(window.first, window.first + len(window.tiles))


def grid_of(layer, pe, array):
    work = Work(layer.gemm.m, pe.steps(layer.gemm.k), layer.gemm.n, layer.gemm.groups)
    return get_dataflow(array.dataflow).grid(work, array)


def sums_of(case):
    """What the tile's array gives: (streamed or rows, columns), by `matmul` on the tile's own
    elements of K.
    """
    layer, pe = case.layer, case.pe
    lowered = layer.lower()
    order = pe.k_order(lowered.k)
    group, *along = case.grid.slices(case.number)
    cut = dict(zip(get_dataflow(case.array.dataflow).roles[1:], along, strict=True))
    x, w = (
        lowered.rows()[group][cut.get("m", slice(None))],
        lowered.weights[group][:, cut.get("n", slice(None))],
    )
    fold = cut.get("s", slice(None))
    back = np.argsort(pe.k_order(len(order[fold]) * pe.lanes).ravel())
    x, w = (
        arranged(values, order)[:, fold].reshape(len(values), -1)[:, back] for values in (x, w.T)
    )
    return pe.matmul(np.ascontiguousarray(x), np.ascontiguousarray(w.T))


def span(done):
    return range(done.start, done.start + done.cycles)


@settings(max_examples=6, deadline=None)
@given(tiles())
def test_every_signal_is_what_the_processes_recorded(tmp_path_factory, case):
    wave, run = case.drawn(tmp_path_factory.mktemp("wave")), case.run(case.shown)
    assert case.number in case.shown
    starts = sorted({done.start for done in run.steps})
    last = max(done.start + done.cycles for done in run.steps)
    over = dict(
        zip(starts, [*starts[1:], last], strict=True)
    )  # when a wave of lockstep is over: the next one starts
    for i, j in np.ndindex(case.array.rows, case.array.cols):
        name, steps = f"pe_{i}_{j}", [done for done in run.steps if (done.row, done.col) == (i, j)]
        signals = [f"{name}.{side}{lane}" for side in "xw" for lane in range(case.pe.lanes)]
        assert wave.high(f"{name}.busy") == [cycle for done in steps for cycle in span(done)]
        assert [wave.at(f"{name}.{signal}", 0) for signal in ("valid", "psum")] == [
            steps[0].start == 0,
            0,
        ]
        for number, done in enumerate(steps):
            next_start = steps[number + 1].start if number + 1 < len(steps) else wave.end + 1
            until = over[done.start] if case.has_waves else done.start + done.cycles
            x, w = case.operands(case.shown[done.tile], i, j, done.item)
            for cycle in range(done.start, next_start):
                assert wave.at(f"{name}.valid", cycle) == (cycle < until)
                assert [wave.at(f"{name}.{signal}", cycle) for signal in ("tile", "item")] == [
                    case.shown[done.tile],
                    done.item,
                ]
                assert [wave.signed(signal, cycle, 8) for signal in signals[case.pe.lanes :]] == w
                assert [wave.at(signal, cycle) for signal in signals[: case.pe.lanes]] == x
        ends = [(done.start + done.cycles, case.sum_after(done, run)) for done in steps]
        for (end, total), (next_end, _) in pairwise([(0, 0), *ends, (wave.end + 1, 0)]):
            assert all(
                wave.signed(f"{name}.psum", cycle, 48) == total for cycle in range(end, next_end)
            )
    loads = case.array.dataflow != "os"
    assert wave.high("load") == list(range(case.array.rows if loads else 0))
    assert wave.high("stream") == list(range(case.array.rows if loads else 0, last))
    assert wave.high("drain") == list(range(last, run.cycles))
    if case.has_waves:
        assert [cycle for cycle, _ in wave.changes["wave"]][1:] == starts[1:]
        assert [number for _, number in wave.changes["wave"]] == list(range(len(starts)))
    else:
        assert "wave" not in wave.changes


@settings(max_examples=40, deadline=None)
@given(tiles())
def test_psums_are_those_of_matmul(tmp_path_factory, case):
    wave, run, expected = (
        case.drawn(tmp_path_factory.mktemp("wave")),
        case.run(case.shown),
        sums_of(case),
    )
    ends = {
        (done.row, done.col, done.item): done.start + done.cycles
        for done in run.steps
        if case.shown[done.tile] == case.number
    }
    expected = expected.T if case.array.dataflow == "is" else expected
    stays, last_item, bottom = (
        case.array.dataflow == "os",
        case.grid.stream - 1,
        case.array.rows - 1,
    )
    for at, j in np.ndindex(*expected.shape):
        row, item = (at, last_item) if stays else (bottom, at)
        assert wave.signed(f"pe_{row}_{j}.psum", ends[row, j, item], 48) == expected[at, j]


@settings(max_examples=40, deadline=None)
@given(tiles())
def test_cycles_are_those_of_the_simulation(tmp_path_factory, case):
    wave = case.drawn(tmp_path_factory.mktemp("wave"))
    assert wave.end == case.run(case.shown).cycles
    if len(case.shown) == case.grid.tiles:
        assert (
            wave.end
            == sparqsim.simulate(sparqsim.Trace([case.layer]), case.pe, case.array).cycles.total
        )


@settings(max_examples=40, deadline=None)
@given(tiles(couplings=("lockstep",)))
def test_in_lockstep_a_tile_between_its_neighbours_runs_as_in_the_whole_layer(case):
    """Tiles that are never in the array together with it cannot change its wavefront."""

    def wavefront(numbers):
        steps = [done for done in case.run(numbers).steps if numbers[done.tile] == case.number]
        return [
            (done.row, done.col, done.item, done.start - steps[0].start, done.cycles)
            for done in steps
        ]

    assert wavefront(case.shown) == wavefront(range(case.grid.tiles))


def test_overlap_shows_the_tiles_around(tmp_path):
    layer = sparqsim.Layer.from_gemm("g", np.ones((20, 4), np.uint8), np.ones((4, 1), np.int8))
    case = Drawn(layer, sparqsim.get_pe("mac-8b8b"), sparqsim.ArrayConfig(2, 1, overlap=True), 5)
    wave = case.drawn(tmp_path)
    # Four steps a tile, one tile on either side; PE (0, 0) goes from one to the next without a
    # pause.
    assert [value for _, value in wave.changes["pe_0_0.tile"]] == [4, 5, 6]
    assert wave.high("pe_0_0.busy") == wave.high("pe_0_0.valid") == list(range(12))
    assert "tile 5 between tiles 4 to 6, from an empty array" in (tmp_path / "tile.vcd").read_text()


def test_a_fast_pe_waits_for_a_slow_one(tmp_path):
    # Row 0 takes the pair (27, 99), two cycles; row 1 takes (1, 1), one: in the wave they share,
    # row 1 waits.
    x, w = np.array([[1, 1, 27, 99], [1, 1, 1, 1]], np.uint8), np.ones((4, 1), np.int8)
    layer, pe = sparqsim.Layer.from_gemm("g", x, w), sparqsim.get_pe("sparq-exact")
    wave = Drawn(layer, pe, sparqsim.ArrayConfig(2, 1), 0).drawn(tmp_path)
    assert (wave.high("pe_0_0.valid"), wave.high("pe_0_0.busy")) == ([1, 2, 3], [1, 2, 3])
    assert (wave.high("pe_1_0.valid"), wave.high("pe_1_0.busy")) == ([2, 3, 4], [2, 4])
    assert [wave.at("pe_1_0.psum", cycle) for cycle in range(6)] == [0, 0, 0, 2, 2, 4]
    assert wave.high("drain") == [5, 6]
    # With elastic links it does not wait, but for the operand that passes through the slow one:
    # same cycles here.
    wave = Drawn(layer, pe, sparqsim.ArrayConfig(2, 1, coupling="elastic:2"), 0).drawn(tmp_path)
    assert wave.high("pe_0_0.busy") == [1, 2, 3]
    assert wave.high("pe_1_0.valid") == wave.high("pe_1_0.busy") == [2, 3]


def test_signed_activations_are_two_s_complement(tmp_path):
    layer = sparqsim.Layer.from_gemm("g", np.array([[-3]], np.int8), np.array([[5]], np.int8))
    wave = Drawn(layer, sparqsim.get_pe("mac-8b8b"), sparqsim.ArrayConfig(1, 1), 0).drawn(tmp_path)
    assert wave.signed("pe_0_0.x0", 0, 8) == -3
    assert wave.signed("pe_0_0.psum", 1, 48) == -15


@pytest.fixture
def command(run):
    """Run `sparqsim simulate TRACE --pe sparq-5opt ARGUMENTS` in this process."""
    return lambda *arguments: run("simulate", TRACE, "--pe", "sparq-5opt", *arguments)


def test_the_command_writes_the_tile_it_is_asked_for(command, tmp_path):
    first, second = tmp_path / "a.vcd", tmp_path / "b.vcd"
    ended = command("--array", "4x4", "--wave", first)
    assert (ended.code, ended.err) == (0, "")
    assert "layer layer1.0.conv1, tile 0" in first.read_text()
    ended = command("--array", "4x4", "--wave", second, "--wave-layer", "conv1", "--wave-tile", "5")
    # A layer kept at 8 bits: the waveform is of the mode in which the design's circuit runs it.
    lone = "sparq-5opt (one MAC per PE and cycle through the lone path)"
    said = f"{lone}, array 4x4 os, lockstep, overlap off, layer conv1, tile 5"
    assert said in second.read_text()
    again = tmp_path / "again.vcd"
    command("--array", "4x4", "--wave", again)
    assert again.read_bytes() == first.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--array", "17x4"], "17x4 is too large to look at, expected at most 16x16"),
        (
            ["--array", "16x16", "--dataflow", "ws", "--overlap", "on"],
            "PE-steps in 2 tiles of layer 'layer1.0.conv1'",
        ),
        (
            ["--array", "4x4", "--wave", "tile.fst"],
            "wave='tile.fst': expected a file name that ends in .vcd",
        ),
        (
            ["--array", "4x4", "--wave", "tile"],
            "wave='tile': expected a file name that ends in .vcd",
        ),
        (
            ["--array", "4x4", "--wave-layer", "conv2"],
            "wave layer='conv2': the trace has no such layer (did you mean",
        ),
        (["--array", "4x4", "--wave-tile", "9999"], "has 2,048 tiles, expected 0 to 2047"),
        (["--array", "4x4", "--wave-tile", "-1"], "expected 0 to 2047"),
        (["--array", "4x4", "--pe", "smt-sa-2t"], "smt-sa-2t times itself"),
    ],
)
def test_what_cannot_be_drawn_ends_in_2_on_one_line(arguments, message, command, tmp_path):
    ended = command("--wave", tmp_path / "x.vcd", *arguments)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert message in ended.err
    assert not list(tmp_path.iterdir())


def test_choosing_a_tile_needs_a_file_to_write(command):
    ended = command("--wave-tile", "1")
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "expected --wave FILE too" in ended.err

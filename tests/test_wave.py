"""The waveform: read back by a small parser, its psums are those of `matmul` and its cycles those of the formulas."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim.pe.base import arranged
from sparqsim.wave import tile_of, write_wave

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
        return [value for when, value in self.changes[name] if when <= cycle][-1]

    def signed(self, name, cycle, bits):
        value = self.at(name, cycle)
        return value - (1 << bits) if value >> bits - 1 else value

    def high(self, name):
        """The cycles in which a one-bit signal is 1."""
        return [cycle for cycle in range(self.end) if self.at(name, cycle)]


@st.composite
def tiles(draw):
    """A layer (grouped sometimes), a design, an array of up to 4x4, and one of the layer's tiles."""
    groups, m, k, n = (draw(st.integers(1, most)) for most in (2, 7, 11, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = (rng.integers(0, 256, (1, m, 1, groups * k)) * rng.integers(0, 2, (1, m, 1, groups * k))).astype(np.uint8)
    w = rng.integers(-128, 128, (groups * n, 1, k)).astype(np.int8)
    layer = sparqsim.Layer.conv2d("layer", x, w, kernel=(1, 1), groups=groups)
    pe = sparqsim.get_pe(draw(st.sampled_from(DESIGNS)))
    rows, cols, dataflow = draw(st.integers(1, 4)), draw(st.integers(1, 4)), draw(st.sampled_from(("os", "ws", "is")))
    array = sparqsim.ArrayConfig(rows, cols, dataflow)
    tiles = groups * int(np.prod(tile_grid(layer, pe, array)))
    return layer, pe, array, draw(st.integers(0, tiles - 1)), tiles


def tile_grid(layer, pe, array):
    """Tiles along the array's rows and along its columns."""
    sizes = {"m": layer.gemm.m, "n": layer.gemm.n, "s": pe.steps(layer.gemm.k)}
    along = {"os": "mn", "ws": "sn", "is": "sm"}[array.dataflow]
    return [-(-sizes[axis] // side) for axis, side in zip(along, (array.rows, array.cols), strict=True)]


def sums_of(layer, pe, array, tile):
    """What a tile's array gives: (streamed or rows, columns), by `matmul` on the tile's own elements of K."""
    lowered = layer.lower()
    order, grid = pe.k_order(lowered.k), tile_grid(layer, pe, array)
    along = {"os": "mn", "ws": "sn", "is": "sm"}[array.dataflow]
    group, rest = divmod(tile, grid[0] * grid[1])
    col, row = divmod(rest, grid[0])
    cut = {axis: slice(place * side, (place + 1) * side)
           for axis, place, side in zip(along, (row, col), (array.rows, array.cols), strict=True)}
    x, w = lowered.rows()[group][cut.get("m", slice(None))], lowered.weights[group][:, cut.get("n", slice(None))]
    fold = cut.get("s", slice(None))
    back = np.argsort(pe.k_order(len(order[fold]) * pe.lanes).ravel())
    x, w = (arranged(values, order)[:, fold].reshape(len(values), -1)[:, back] for values in (x, w.T))
    return pe.matmul(np.ascontiguousarray(x), np.ascontiguousarray(w.T))


def drawn(tmp, layer, pe, array, tile):
    path = Path(tmp) / "tile.vcd"
    write_wave(path, sparqsim.Trace([layer]), pe, array, tile=tile)
    return Waveform(path)


@settings(max_examples=60, deadline=None)
@given(tiles())
def test_psums_are_those_of_matmul(tmp_path_factory, drawn_tile):
    layer, pe, array, tile, _ = drawn_tile
    wave = drawn(tmp_path_factory.mktemp("wave"), layer, pe, array, tile)
    expected = sums_of(layer, pe, array, tile)
    last = wave.high("stream")[-1] + 1
    if array.dataflow == "os":
        for i, j in np.ndindex(*expected.shape):
            assert wave.signed(f"pe_{i}_{j}.psum", last, 48) == expected[i, j]
        return
    expected = expected if array.dataflow == "ws" else expected.T
    starts = {number: cycle for cycle, number in wave.changes["wave"] if cycle}
    for item, j in np.ndindex(*expected.shape):
        # When the wave begins that follows the one in which the last row has this item.
        after = starts.get(item + array.rows - 1 + j + 1, last)
        assert wave.signed(f"pe_{array.rows - 1}_{j}.psum", after, 48) == expected[item, j]


@settings(max_examples=60, deadline=None)
@given(tiles())
def test_cycles_are_those_of_the_formulas(tmp_path_factory, drawn_tile):
    layer, pe, array, tile, tiles = drawn_tile
    wave = drawn(tmp_path_factory.mktemp("wave"), layer, pe, array, tile)
    rows, cols, edge = array.rows, array.cols, pe.edge_cycles
    lowered = layer.lower()
    stream = {"os": pe.steps(lowered.k), "ws": lowered.m, "is": lowered.n}[array.dataflow]
    load, drain = (0, rows) if array.dataflow == "os" else (rows, 0)
    last = f"pe_{rows - 1}_{cols - 1}"
    if not pe.cycles_depend_on_values:
        assert wave.high(f"{last}.valid")[-1] + 1 == load + stream + rows + cols - 2 + edge
        for i, j in np.ndindex(rows, cols):
            first = load + edge + i + j
            assert wave.high(f"pe_{i}_{j}.valid") == wave.high(f"pe_{i}_{j}.busy") == list(range(first, first + stream))
    assert wave.end == wave.high("stream")[-1] + 1 + drain
    if tiles == 1:
        assert wave.end == sparqsim.simulate(sparqsim.Trace([layer]), pe, array).cycles.total


@settings(max_examples=30, deadline=None)
@given(tiles())
def test_operands_and_busy_cycles_are_those_of_the_steps(tmp_path_factory, drawn_tile):
    layer, pe, array, number, _ = drawn_tile
    wave, tile = drawn(tmp_path_factory.mktemp("wave"), layer, pe, array, number), tile_of(layer, pe, array, number)
    for i, j in np.ndindex(array.rows, array.cols):
        cycles = 0
        for s in range(tile.stream):
            xs, ws = tile.operands(i, j, s)
            cycles += pe.step(xs, ws, False).cycles
            before_waves = (array.rows if array.dataflow != "os" else 0) + pe.edge_cycles
            start = {value: cycle for cycle, value in wave.changes["wave"]}[s + i + j] if s + i + j else before_waves
            assert [wave.at(f"pe_{i}_{j}.x{lane}", start) for lane in range(pe.lanes)] == xs
            assert [wave.signed(f"pe_{i}_{j}.w{lane}", start, 8) for lane in range(pe.lanes)] == ws
        assert len(wave.high(f"pe_{i}_{j}.busy")) == cycles


def test_a_fast_pe_waits_for_a_slow_one(tmp_path):
    # Row 0 takes the pair (27, 99), two cycles; row 1 takes (1, 1), one: in the wave they share, row 1 waits.
    x, w = np.array([[1, 1, 27, 99], [1, 1, 1, 1]], np.uint8), np.ones((4, 1), np.int8)
    pe, array = sparqsim.get_pe("sparq-exact"), sparqsim.ArrayConfig(2, 1)
    wave = drawn(tmp_path, sparqsim.Layer.from_gemm("g", x, w), pe, array, 0)
    assert (wave.high("pe_0_0.valid"), wave.high("pe_0_0.busy")) == ([1, 2, 3], [1, 2, 3])
    assert (wave.high("pe_1_0.valid"), wave.high("pe_1_0.busy")) == ([2, 3, 4], [2, 4])
    assert [wave.at("pe_1_0.psum", cycle) for cycle in range(6)] == [0, 0, 0, 2, 2, 4]
    assert wave.high("drain") == [5, 6]
    # While the array drains, the bottom row gives row 1's sum, then row 0's.
    assert [wave.at("pe_1_0.psum", cycle) for cycle in (5, 6)] == [4, 128]


def test_signed_activations_are_two_s_complement(tmp_path):
    layer = sparqsim.Layer.from_gemm("g", np.array([[-3]], np.int8), np.array([[5]], np.int8))
    wave = drawn(tmp_path, layer, sparqsim.get_pe("mac-8b8b"), sparqsim.ArrayConfig(1, 1), 0)
    assert wave.signed("pe_0_0.x0", 0, 8) == -3
    assert wave.signed("pe_0_0.psum", 1, 48) == -15


def command(*arguments):
    return subprocess.run([sys.executable, "-m", "sparqsim", "simulate", TRACE, "--pe", "sparq-5opt",
                           *arguments], capture_output=True, text=True, check=False)


def test_the_command_writes_the_tile_it_is_asked_for(tmp_path):
    first, second = tmp_path / "a.vcd", tmp_path / "b.vcd"
    run = command("--array", "4x4", "--wave", first)
    assert (run.returncode, run.stderr) == (0, "")
    assert "layer layer1.0.conv1, tile 0" in first.read_text()
    run = command("--array", "4x4", "--wave", second, "--wave-layer", "conv1", "--wave-tile", "5")
    assert "mac-8b8b, array 4x4 os, lockstep, overlap off, layer conv1, tile 5" in second.read_text()
    again = tmp_path / "again.vcd"
    command("--array", "4x4", "--wave", again)
    assert again.read_bytes() == first.read_bytes()


@pytest.mark.parametrize(("arguments", "message"), [
    (["--array", "17x4"], "17x4 is too large to look at, expected at most 16x16"),
    (["--array", "4x4", "--overlap", "on"], "expected lockstep and overlap off"),
    (["--array", "4x4", "--wave-layer", "conv2"], "wave layer='conv2': the trace has no such layer (did you mean"),
    (["--array", "4x4", "--wave-tile", "9999"], "has 2048 tiles, expected 0 to 2047"),
    (["--array", "4x4", "--wave-tile", "-1"], "expected 0 to 2047"),
    (["--array", "4x4", "--pe", "smt-sa-2t"], "smt-sa-2t times itself"),
])
def test_what_cannot_be_drawn_ends_in_2_on_one_line(arguments, message, tmp_path):
    run = command("--wave", tmp_path / "x.vcd", *arguments)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert message in run.stderr
    assert not list(tmp_path.iterdir())


def test_choosing_a_tile_needs_a_file_to_write():
    run = command("--wave-tile", "1")
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert "expected --wave FILE too" in run.stderr

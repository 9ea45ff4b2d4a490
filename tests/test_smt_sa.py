"""SMT-SA: the kernel is the plain queue model, the queue model gives the closed forms, cycles are
attributed whole.
"""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparqsim
from sparqsim.engine.models.queue_array import QueueArray, tile_ends
from sparqsim.engine.models.queue_array_definition import Queues
from sparqsim.pe.smt_sa import part_lengths

ROOT = Path(__file__).parent.parent
DEPTHS = (1, 2, 3, 4, 8, 4096)


@st.composite
def runs(draw):
    """A ragged product, an array of up to 5x5 PEs, 1 to 4 threads, a queue depth, and how many
    operands are zero.
    """
    m, k, n = (draw(st.integers(1, 12)) for _ in range(3))
    rows, cols, threads = (draw(st.integers(1, most)) for most in (5, 5, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dense_x, dense_w = (draw(st.sampled_from((0.0, 0.3, 0.7, 1.0))) for _ in range(2))
    x = (rng.integers(1, 256, (m, k)) * (rng.random((m, k)) < dense_x)).astype(np.uint8)
    w = (
        rng.integers(1, 128, (k, n)) * rng.choice([-1, 1], (k, n)) * (rng.random((k, n)) < dense_w)
    ).astype(np.int8)
    return x, w, rows, cols, threads, draw(st.sampled_from(DEPTHS))


def joined(sums, shape, rows, cols):
    """Put the tiles' sums together and cut off the padding."""
    m, n = shape
    grid = (-(-m // rows), -(-n // cols))
    return (
        np.array(sums).reshape(*grid, rows, cols).swapaxes(1, 2).reshape(grid[0] * rows, -1)[:m, :n]
    )


@settings(max_examples=150, deadline=None)
@given(runs())
def test_kernel_is_the_queue_model(run):
    x, w, rows, cols, threads, depth = run
    sums, ends = Queues(x, w, rows, cols, threads, depth).run()
    assert tile_ends(*run).ravel().tolist() == ends
    assert (joined(sums, (len(x), w.shape[1]), rows, cols) == x.astype(int) @ w.astype(int)).all()


@settings(max_examples=60, deadline=None)
@given(runs(), st.booleans())
def test_closed_forms_of_deep_queues(run, dense):
    x, w, rows, cols, threads, _ = run
    x, w = (np.full_like(values, dense) for values in (x, w))
    tiles = -(-len(x) // rows) * -(-w.shape[1] // cols)
    longest = x.shape[1] if dense else part_lengths(x.shape[1], threads)[-1]
    padded = dense and (len(x) % rows or w.shape[1] % cols)
    cycles = tile_ends(x, w, rows, cols, threads, 4096)[-1, -1]
    if (
        padded
    ):  # a padded PE multiplies nothing and may run ahead, so the last tile can only end sooner
        assert cycles <= tiles * (longest + 1) + rows + cols
    else:
        assert cycles == tiles * (longest + 1) + rows + cols


@pytest.mark.parametrize("depth", [1, 2, 4096])
def test_kernel_is_the_queue_model_on_a_real_layer(depth):
    layer = sparqsim.load_trace(ROOT / "workloads/digits_resnet.safetensors").layers[5].lower()
    x, w = layer.rows(100, 110)[0], layer.weights[0][:, :7]
    sums, ends = Queues(x, w, 4, 3, 4, depth).run()
    assert tile_ends(x, w, 4, 3, 4, depth).ravel().tolist() == ends
    assert (joined(sums, (10, 7), 4, 3) == x.astype(int) @ w.astype(int)).all()


def test_depth_of_one_halves_the_rate():
    x, w = np.ones((8, 128), np.uint8), np.ones((128, 8), np.int8)
    assert tile_ends(x, w, 8, 8, 1, 4096).tolist() == [[145]]
    assert tile_ends(x, w, 8, 8, 1, 1).tolist() == [[272]]
    assert Queues(x, w, 8, 8, 1, 1).run()[1] == [272]


def test_a_deeper_queue_can_end_later():
    """Fixed priority is no optimum: a full queue may hold thread 0 back in favour of a thread that
    has more to do.
    """
    x = np.array([[1, 1, 1, 1, 1, 0]], np.uint8)
    w = np.array([[1, 1, 0, 1, 1, 1], [1, 0, 1, 1, 1, 0]], np.int8).T
    assert [Queues(x, w, 1, 3, 3, depth).run()[1] for depth in (1, 2, 4096)] == [
        [10],
        [11],
        [11],
    ]
    assert [tile_ends(x, w, 1, 3, 3, depth).tolist() for depth in (1, 2, 4096)] == [
        [[10]],
        [[11]],
        [[11]],
    ]


@settings(max_examples=60, deadline=None)
@given(runs())
def test_parts_sum_to_the_total_and_none_is_negative(run):
    x, w, rows, cols, threads, depth = run
    pe = sparqsim.get_pe(f"smt-sa-{2 if threads < 3 else 4}t:queue_depth={depth}")
    timing = QueueArray(pe).group_timing(x, w, sparqsim.ArrayConfig(rows, cols))
    assert timing.compute + timing.fill + timing.drain + timing.pe_stall == timing.total
    assert timing.pe_stall >= 0
    # A PE that never waits needs this much for its tiles, and one emitting cycle for each.
    assert timing.total >= timing.pe_cycles.max() + timing.tile_ends.size
    lower = np.maximum(pe.steps(x.shape[1]), (x != 0).astype(int) @ (w != 0).astype(int))
    assert timing.work == lower.sum()
    assert (np.diff(timing.tile_ends.ravel()) > 0).all()


def test_groups_run_one_after_another():
    rng = np.random.default_rng(1)
    x = rng.integers(0, 4, (1, 5, 5, 6)).astype(np.uint8)
    w = rng.integers(-2, 3, (6, 9, 2)).astype(np.int8)
    layer = sparqsim.Layer.conv2d("grouped", x, w, kernel=(3, 3), groups=3)
    lowered = layer.lower()
    pe = sparqsim.get_pe("smt-sa-2t")
    array = sparqsim.ArrayConfig(rows=4, cols=3)
    report = sparqsim.simulate(sparqsim.Trace([layer]), pe, array).layers[0]
    alone = [
        QueueArray(pe).group_timing(a, b, array)
        for a, b in zip(lowered.rows(), lowered.weights, strict=True)
    ]
    assert report.cycles.total == sum(timing.total for timing in alone)
    assert report.tiles == 3 * 3 * 1
    assert report.error.noise == 0
    # Cycles of a tile times the PEs it uses, by hand: 9 pixels on 4 rows are tiles of 4, 4, 1; 2
    # channels on 3 columns.
    spans = [np.diff(timing.tile_ends[:, 0], prepend=0) for timing in alone]
    assert report.counts.used_pe_cycles == sum(int(span @ [8, 8, 2]) for span in spans)


def test_only_output_stationary():
    trace = sparqsim.Trace(
        [sparqsim.Layer.from_gemm("g", np.ones((2, 2), np.uint8), np.ones((2, 2), np.int8))]
    )
    with pytest.raises(sparqsim.InputError, match=r"dataflow='ws': smt-sa-2t supports os"):
        sparqsim.simulate(trace, "smt-sa-2t", sparqsim.ArrayConfig(dataflow="ws"))


@pytest.mark.parametrize("depth", ["0", "-1", "x"])
def test_a_queue_holds_at_least_one_entry(depth):
    with pytest.raises(sparqsim.InputError, match="queue_depth"):
        sparqsim.get_pe(f"smt-sa-4t:queue_depth={depth}")

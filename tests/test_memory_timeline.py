"""The timeline: a Chrome trace that any viewer opens, with no slice over another, and never more
events than stated.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_memory_model import arrays, fitting, layers, memories, with_order

from sparqsim import ArrayConfig, Layer, Trace
from sparqsim.analysis.network import outcomes
from sparqsim.analysis.timeline import TRACKS, write_timeline
from sparqsim.memory import load_accelerator
from sparqsim.memory.system import Outcome
from sparqsim.pe import get_pe


def written(
    path: Path, runs: list[tuple[Layer, Outcome]], most: int = 10**6
) -> tuple[list[dict], list[dict], dict]:
    """Write and read back a timeline; return its names, its slices and its notes, checked for what
    viewers need.
    """
    write_timeline(path, runs, layers=len(runs), most_events=most)
    document = json.loads(path.read_text(encoding="utf-8"))
    names = [event for event in document["traceEvents"] if event["ph"] == "M"]
    slices = [event for event in document["traceEvents"] if event["ph"] == "X"]
    assert len(names) + len(slices) == len(document["traceEvents"])
    for event in slices:
        assert {"name", "ph", "pid", "tid", "ts", "dur"} <= set(event)
        assert type(event["ts"]) is type(event["dur"]) is int
        assert event["ts"] >= 0
        assert event["dur"] >= 0
        assert 0 <= event["tid"] < len(TRACKS)
    assert [event["args"]["name"] for event in names if event["name"] == "thread_name"] == list(
        TRACKS
    )
    return names, slices, document["otherData"]


def check_no_overlap(slices: list[dict]) -> None:
    """Slices of a track stand in the file in the order in which they happen, each after the end of
    the one before.
    """
    by_track = defaultdict(list)
    for event in slices:
        by_track[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for track, spans in by_track.items():
        for one, other in pairwise(spans):
            assert one[1] <= other[0], (TRACKS[track], one, other)


@settings(max_examples=80)
@given(
    layer=layers(),
    array=arrays(),
    memory=memories(),
    which=st.integers(0, 1),
    design=st.sampled_from(["mac-8b8b", "sparq-exact"]),
)
def test_no_slice_lies_over_another(tmp_path_factory, layer, array, memory, which, design):
    found = fitting(layer, array, with_order(memory, array, which), design)
    path = tmp_path_factory.getbasetemp() / "timeline.json"
    _, slices, notes = written(path, [(layer, found), (layer, found)])
    check_no_overlap(slices)
    assert notes["events_left_out"] == 0
    whole = [event for event in slices if event["tid"] == 0]
    assert [(event["ts"], event["dur"]) for event in whole] == [
        (0, found.times.total),
        (found.times.total, found.times.total),
    ]
    items = [event for event in slices if TRACKS[event["tid"]] == "array"]
    assert sum(event["dur"] for event in items) == 2 * found.program.lengths.sum()
    assert len(items) == 2 * len(found.program.lengths)
    moved = [event for event in slices if TRACKS[event["tid"]].startswith(("DMA", "write-back"))]
    assert len(moved) == 2 * len(found.program.size)
    assert max(event["ts"] + event["dur"] for event in slices) == 2 * found.times.total


@pytest.mark.parametrize("design", ["sparq-5opt", "smt-sa-2t"])
def test_a_long_layer_keeps_its_beginning_and_says_what_is_missing(tmp_path, design):
    """The cap is one number for the whole file, shared by the layers; the slice of each layer stays
    whole.
    """
    from test_memory_designs import sparse_conv

    memory = load_accelerator("edge").memory
    (one,) = outcomes(Trace([sparse_conv()]), [get_pe(design)], ArrayConfig(rows=4, cols=4), memory)
    runs = [(one[0], one[2])] * 2
    _, everything, _ = written(tmp_path / "whole.json", runs)
    for most in (2, 31, len(everything) - 3):
        _, slices, notes = written(tmp_path / "capped.json", runs, most)
        check_no_overlap(slices)
        inside = [event for event in slices if event["tid"] > 0]
        assert len(inside) <= most == notes["most_events"]
        assert len(inside) + notes["events_left_out"] == len(everything) - 2
        whole = [event for event in slices if event["tid"] == 0]
        assert [event["dur"] for event in whole] == [outcome.times.total for _, outcome in runs]
        assert (
            sum(event["args"]["events_left_out"] for event in whole) == notes["events_left_out"] > 0
        )
        first_left_out = {(event["tid"], event["ts"]) for event in everything} - {
            (event["tid"], event["ts"]) for event in slices
        }
        last_shown = max(event["ts"] for event in inside if event["ts"] < runs[0][1].times.total)
        assert min(ts for _, ts in first_left_out if ts < runs[0][1].times.total) >= last_shown

"""Whether an ONNX network's earlier tokens see later ones."""

from __future__ import annotations

from dataclasses import replace

from sparqsim.networks.images import Pictures
from sparqsim.networks.onnx.graph import Graph
from sparqsim.networks.onnx.session import Session
from sparqsim.networks.phase import Phase, check_unchanged, with_another_last
from sparqsim.trace.coverage import TOKENS


def check_causal(path: str, phase: Phase, pictures: Pictures) -> None:
    """Raise InputError where the first sequence with another last token has other outputs before.

    Outputs are looked at where axis 1 is that of tokens; without one nothing is known.
    """
    graph, first = Graph.load(path).modern(), pictures.first(1)
    session = Session(graph, graph.outputs)
    before, after = (next(session.batches(each, 1)) for each in (first, _changed(first)))
    for name in graph.outputs:
        check_unchanged(phase, before[name], after[name])


def _changed(pictures: Pictures) -> Pictures:
    if pictures.array is not None:
        return replace(pictures, array=with_another_last(pictures.array))
    main = TOKENS if TOKENS in pictures.arrays else next(iter(pictures.arrays))
    changed = with_another_last(pictures.arrays[main])
    return replace(pictures, arrays=pictures.arrays | {main: changed})

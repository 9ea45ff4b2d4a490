"""Dataflows from outside the package, as a user writes them: `own_dataflows.py:CLASS`."""

from __future__ import annotations

from sparqsim.array.dataflow import Dataflow


class TransposedOutputs(Dataflow):
    """Sums stay; rows hold N, columns hold M."""

    name = "os-transposed"
    roles = "snm"


class OtherWeights(Dataflow):
    """As `ws`, by another name: only its roles can tell what it is."""

    name = "my-weights"
    roles = "msn"


class OtherInputs(Dataflow):
    """As `is`, which is `ws` with weights and activations exchanged."""

    name = "my-inputs"
    roles = "nsm"


class SumsToTheRight(Dataflow):
    """Steps of K along the columns: sums would have to move right."""

    name = "right"
    roles = "mns"


class UnknownRole(Dataflow):
    """A letter that means nothing."""

    name = "unknown"
    roles = "mkn"


class WrongLoads(Dataflow):
    """Says that operands load where sums stay."""

    name = "loading"
    roles = "snm"
    loads = True


class Taken(Dataflow):
    """The name of a shipped dataflow."""

    name = "os"
    roles = "snm"


class Unfinished(Dataflow):
    """Without roles."""

    name = "unfinished"

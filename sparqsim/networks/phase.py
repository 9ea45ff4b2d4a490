"""Prefill and decode: two workloads of one language model.

* `prefill:T`: the first T tokens of each sequence, in one run.
* `decode:T`: one token behind a cache of T: the network runs T + 1 tokens, and of every layer the
  work of the last one is kept: one row of a linear layer, one query of attention, which sees the T
  cached keys and its own. In a causal network the rows before do not depend on it, so these are the
  operands of a step that reads its keys and values from the cache.

Sequences run one at a time, so that a layer's rows are the tokens of one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.networks.images import Pictures
from sparqsim.networks.site import Operands, Site
from sparqsim.trace.coverage import TOKENS, Coverage

Array = NDArray[Any]
#: Of the largest value of an output: what float32 rounding may change.
TOLERANCE = 1e-4

KINDS = ("prefill", "decode")
EXPECTED = "expected prefill:T or decode:T, T tokens from 1"


@dataclass(frozen=True)
class Phase:
    """What of a language model's work a trace holds.

    kind: 'prefill' or 'decode'. tokens: of the prompt, or in the cache.
    """

    kind: Literal["prefill", "decode"]
    tokens: int

    @classmethod
    def parse(cls, spec: str) -> Phase:
        """Return the phase that `KIND:TOKENS` names. Raises InputError."""
        kind, _, tokens = spec.partition(":")
        if not re.fullmatch(r"[1-9][0-9]{0,8}", tokens):
            raise InputError(f"phase={spec!r}, {EXPECTED}")
        if kind == "prefill":
            return cls("prefill", int(tokens))
        if kind == "decode":
            return cls("decode", int(tokens))
        raise InputError(f"phase={spec!r}, {EXPECTED}")

    def __str__(self) -> str:
        return f"{self.kind}:{self.tokens}"

    @property
    def length(self) -> int:
        """Tokens of a sequence that run."""
        return self.tokens + (self.kind == "decode")

    @property
    def done(self) -> int:
        """Tokens of a sequence whose work is kept."""
        return 1 if self.kind == "decode" else self.tokens

    def check_length(self, tokens: int) -> None:
        """Raise InputError for a sequence that is too short."""
        if tokens < self.length:
            raise InputError(
                f"phase={self}: a sequence has {tokens} tokens, expected at least {self.length}"
            )

    def covered(self, coverage: Coverage) -> Coverage:
        """Return a coverage that says the phase and its tokens.

        Of what was left out of a decode step, only the work of all tokens that ran is known.
        """
        fields: dict[str, Any] = {"phase": str(self)}
        if coverage.tokens is not None and coverage.inputs is not None:
            fields["tokens"] = coverage.inputs * self.done
        if self.kind == "decode":
            unknown = (each.model_copy(update={"macs": None}) for each in coverage.left_out)
            fields["left_out"] = tuple(unknown)
        return coverage.model_copy(update=fields)

    def pictures(self, given: Pictures) -> Pictures:
        """Return the first tokens of sequences in arrays; axis 1 is that of tokens.

        Raises
        ------
        InputError
            For pictures, and for sequences that are too short.
        """
        arrays = given.arrays or ({} if given.ready is None else {"": given.ready})
        main = arrays.get(TOKENS, next(iter(arrays.values()), None))
        if main is None or main.ndim < 2:
            raise InputError(f"phase={self}: inputs are no sequences, expected --images FILE.npz")
        self.check_length(main.shape[1])
        cut = {name: self._cut(values, main.shape[1]) for name, values in arrays.items()}
        return replace(given, arrays=cut) if given.arrays else replace(given, array=cut[""])

    def _cut(self, values: Array, tokens: int) -> Array:
        """Return values of the first tokens, on every axis of theirs (a mask has two)."""
        sizes = [
            self.length if axis and size == tokens else size
            for axis, size in enumerate(values.shape)
        ]
        return values[tuple(map(slice, sizes))]

    def kept(self, site: Site, operands: Operands) -> Operands:
        """Return of one sequence's operands what belongs to the phase.

        Counts of values that clipped stay those of all tokens that ran.

        Raises
        ------
        InputError
            For a layer whose rows are not the tokens of the sequence, nor one for all of them.
        """
        if self.kind == "prefill":
            return operands
        rows = 0 if site.op == "conv2d" else operands.activations.shape[1]
        if rows not in {1, self.length}:
            raise InputError(
                f"layer {site.name!r}: a {site.op} layer with {rows or 'pixels, not'} rows for a "
                f"sequence of {self.length} tokens, expected {self.length} or 1 for phase={self}"
            )
        return last_row(operands)


def check_unchanged(phase: Phase, before: Array, after: Array) -> None:
    """Raise InputError where another last token changes what a network gives for earlier ones.

    before, after: outputs (batch, tokens, ...), the last token's among them.
    """
    if before.ndim < 2 or before.shape[1] != phase.length or before.dtype.kind != "f":
        return
    apart = np.abs(before[:, :-1] - after[:, :-1]).max(initial=0)
    if apart > TOLERANCE * np.abs(before[:, :-1]).max(initial=0):
        raise InputError(
            f"phase={phase}: the network's earlier tokens see later ones, so it has no decode "
            "step; expected a causal network"
        )


def with_another_last(tokens: Array) -> Array:
    """Return sequences whose last token is another: their first one, or 0."""
    other = tokens.copy()
    first, last = tokens[:, 0], tokens[:, -1]
    other[:, -1] = np.where(last == first, 0, first)
    return other


def last_row(operands: Operands) -> Operands:
    """Return operands with the last row of activations (groups, M, K) alone."""
    return operands._replace(activations=operands.activations[:, -1:].copy())

"""What `dump` did, layer by layer, and what it left out."""

from __future__ import annotations

from dataclasses import dataclass

from sparqsim.base.wording import counted
from sparqsim.networks.torch.network import Skipped
from sparqsim.trace.coverage import Coverage
from sparqsim.trace.dumpreport import DumpedLayer, clipping_warning


@dataclass(frozen=True)
class DumpReport:
    """What `dump` did.

    `layers`: of each, why it is signed or not, and counts. `pictures`: inputs written.
    `skipped`: what is not in the trace, modules that never ran
    included. `coverage`: operations that ran and are not in the trace, with their
    multiply-accumulates. `folded`: (layer, norm); `unfolded`: norms computed in float.
    `fold_unchecked`: why the output could not show that folding changed nothing, or ''.
    """

    path: str
    pictures: int
    calibrator: str
    layers: tuple[DumpedLayer, ...]
    skipped: tuple[Skipped, ...]
    folded: tuple[tuple[str, str], ...]
    unfolded: tuple[str, ...]
    coverage: Coverage
    fold_unchecked: str = ""

    @property
    def share_left_out(self) -> float | None:
        """Share of the network's multiply-accumulates not in the trace; None where unknown."""
        return self.coverage.share_left_out(sum(layer.macs for layer in self.layers))

    @property
    def notes(self) -> tuple[str, ...]:
        """What else a user must know of how the network was run."""
        return tuple(self._remarks())

    def __str__(self) -> str:
        width = max(len(layer.name) for layer in self.layers)
        pictures = self.coverage.inputs_text()
        layers = counted(len(self.layers), "layer")
        lines = [f"{self.path}: {pictures}, {layers}, calibrator {self.calibrator}"]
        lines += [f"{layer.name:{width}}  {_line(layer)}" for layer in self.layers]
        return "\n".join([*lines, *self._left_out(), *self.notes])

    def _left_out(self) -> list[str]:
        macs = {(each.name, each.reason): each.macs for each in self.coverage.left_out}
        lines = [
            f"left out: {each.name}: {each.reason}{_macs(macs, each)}" for each in self.skipped
        ]
        if macs:
            share = self.share_left_out
            told = "an unknown share" if share is None else f"{share:.1%}"
            lines.append(
                f"left out in all: {told} of the multiply-accumulates of matrix products and "
                "convolutions"
            )
        return lines

    def _remarks(self) -> list[str]:
        lines = [f"batch norm computed in float: {name}" for name in self.unfolded]
        if self.fold_unchecked:
            lines.append(f"folded batch norms were not checked: {self.fold_unchecked}")
        if signed := sum(layer.signed and not layer.keep_8bit for layer in self.layers):
            lines.append(
                f"int8 activations in {signed} of these layers: sparq-* designs take them by sign "
                "and magnitude, an extension of ours (sparq-5opt:signed=magnitude)"
            )
        warning = clipping_warning((layer.name, layer.clipped_share) for layer in self.layers)
        return [*lines, warning] if warning else lines


def _line(layer: DumpedLayer) -> str:
    """Return what a dump made of one layer."""
    kept = "kept at 8 bits; " if layer.keep_8bit else ""
    return (
        f"{'int8 ' if layer.signed else 'uint8'}  scale {layer.activation_scale:<9.4g} "
        f"zero pairs {layer.zero_pair_share:6.1%}  clipped {layer.clipped_share or 0:7.3%}  "
        f"{kept}{layer.reason}"
    )


def _macs(counts: dict[tuple[str, str], int | None], skipped: Skipped) -> str:
    """Return ' (1,234 MACs)' for an operation that ran, '' for a module that did not."""
    if (skipped.name, skipped.reason) not in counts:
        return ""
    count = counts[skipped.name, skipped.reason]
    return " (MACs unknown)" if count is None else f" ({count:,} MACs)"

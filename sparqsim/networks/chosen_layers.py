"""Layers of a network that a user chooses: which have fewer bits, which stay at 8."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from sparqsim.base.errors import InputError, nearest
from sparqsim.networks.site import Site
from sparqsim.trace.bitlist import BitList, LayerBits
from sparqsim.trace.codebits import ALL_BITS


def with_bits(sites: Iterable[Site], bits: BitList) -> tuple[Site, ...]:
    """Return the layers of a network, their weights with the bits of a list.

    Raises
    ------
    InputError
        For a list that does not fit the layers, one with bits of activations (their rule looks at
        all codes of a layer, which are not there before the network has answered), and layers
        whose weights have a zero point, or are activations.
    """
    found = list(sites)
    of_layers = bits.of_layers([site.name for site in found], of="network")
    return tuple(
        replace(site, weight_bits=_bits_of(site, of_layers[site.name], bits.place))
        if site.name in of_layers
        else site
        for site in found
    )


def _bits_of(site: Site, bits: LayerBits, place: str) -> int:
    name = f"{place}: layer {site.name!r}"
    if bits.activations < ALL_BITS:
        raise InputError(
            f"{name}: activations={bits.activations}, expected {ALL_BITS}: a network's answers are "
            "computed with fewer bits of weights only (sparqsim trace requantise takes both)"
        )
    if bits.weights == ALL_BITS:
        return ALL_BITS
    if site.weights is None:
        raise InputError(f"{name}: multiplies two activations, expected a layer with weights")
    if site.weights.zero_points.any():
        raise InputError(f"{name}: its weights have a zero point, expected codes around 0")
    return bits.weights


def check_layer_names(chosen: Collection[str], names: Sequence[str], option: str) -> frozenset[str]:
    """Return the layers that a user names, by `option`.

    Raises InputError for one that is not there.
    """
    for name in chosen:
        if name not in names:
            raise InputError(
                f"{option}: layer {name!r} is not in the network{nearest(name, names)}; expected "
                f"some of {', '.join(names)}"
            )
    return frozenset(chosen)


def kept_layers(
    ops: Sequence[tuple[str, str]],
    chosen: Collection[str] | None,
    option: str = "--keep-8bit",
) -> frozenset[str]:
    """Return the layers of a file's network that stay at 8 bits.

    Parameters
    ----------
    ops : sequence of (name, op)
        Every layer, in order.
    chosen : names
        By default the first convolution and the last layer.
    option : str
        What names them, for messages.
    """
    names = [name for name, _ in ops]
    if chosen is not None:
        return check_layer_names(chosen, names, option)
    first = [name for name, op in ops if op == "conv2d"][:1]
    return frozenset([*first, names[-1]])

"""A convolution's attributes, checked against its weights."""

from __future__ import annotations

from typing import Any

from sparqsim.base.errors import InputError

#: The largest stride, dilation, pad or kernel, pixels.
MOST_PIXELS = 1 << 31
MODES = (b"NOTSET", b"VALID", b"SAME_UPPER", b"SAME_LOWER")


def checked_spatial(
    attributes: dict[str, Any], weights: tuple[int, ...], source: tuple[int, ...] | None
) -> dict[str, Any]:
    """Return a convolution's attributes with its kernel's shape.

    Parameters
    ----------
    attributes : dict
        Of the node.
    weights : (output channels, channels of a group, kernel ...)
    source : (batch, channels, ...) or None
        The input's shape, where it is known.

    Raises
    ------
    InputError
        Naming the attribute that does not fit.
    """
    axes, kernel = len(weights) - 2, list(weights[2:])
    if axes not in (1, 2):
        raise InputError(
            f"weights are {weights}: {axes}-dimensional convolutions are not supported, expected 1 "
            "or 2 dimensions"
        )
    spatial = {"kernel_shape": kernel} | attributes
    for name in ("kernel_shape", "strides", "dilations"):
        _check_numbers(spatial, name, axes, least=1)
    _check_numbers(spatial, "pads", 2 * axes, least=0)
    if spatial["kernel_shape"] != kernel:
        raise InputError(
            f"kernel_shape is {spatial['kernel_shape']}, expected {kernel}, that of the weights"
        )
    if spatial.get("auto_pad", MODES[0]) not in MODES:
        raise InputError(
            f"auto_pad is {spatial['auto_pad']!r}, expected one of "
            f"{', '.join(mode.decode() for mode in MODES)}"
        )
    groups = spatial.get("group", 1)
    if not isinstance(groups, int) or groups < 1 or weights[0] % groups:
        raise InputError(f"group is {groups!r}, expected a divisor of {weights[0]} output channels")
    if source is not None and (len(source) != axes + 2 or source[1] != groups * weights[1]):
        raise InputError(
            f"its input has shape {source}, expected {groups * weights[1]} channels and {axes} "
            "spatial axes"
        )
    return spatial


def _check_numbers(attributes: dict[str, Any], name: str, length: int, *, least: int) -> None:
    values = attributes.get(name, [1] * length)
    if (
        not isinstance(values, list | tuple)
        or len(values) != length
        or not all(isinstance(each, int) and least <= each <= MOST_PIXELS for each in values)
    ):
        raise InputError(f"{name} is {values!r}, expected {length} numbers from {least}")

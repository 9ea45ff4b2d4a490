"""Networks whose layers can have bits of their own, one file per framework."""

from __future__ import annotations

from pathlib import Path

from sparqsim.base.errors import InputError
from sparqsim.base.plugins import named_file
from sparqsim.networks.images import Pictures
from sparqsim.search.networks.base import SearchedNetwork
from sparqsim.search.rules import Rules

EXPECTED = "a network of real weights: .onnx, or FILE.py:FUNCTION that returns a PyTorch module"


def check_kind(model: str) -> None:
    """Raise InputError for what is no network that can be searched, by its name."""
    if named_file(model) is not None or Path(model).suffix.lower() == ".onnx":
        return
    if Path(model).suffix.lower() == ".tflite":
        raise InputError(f"{model}: a TFLite network is integers already; expected {EXPECTED}")
    raise InputError(f"{model}: unknown kind of network, expected {EXPECTED}")


def opened(
    model: str, rules: Rules, calibration: Pictures, batch: int | None = None
) -> SearchedNetwork:
    """Return the network that a file holds, or a function of a Python file returns.

    The latter is run, so this is for what a user has typed.

    Parameters
    ----------
    model : str
        .onnx, or 'FILE.py:FUNCTION'.
    rules : Rules
    calibration : Pictures
    batch : int, optional
        Pictures at a time.

    Raises
    ------
    InputError
        For another kind of file, and for a network that cannot be used.
    """
    check_kind(model)
    if named_file(model) is not None:
        from sparqsim.search.networks.torch import TorchSearched

        return TorchSearched.opened(model, rules, calibration, batch)
    from sparqsim.search.networks.onnx import OnnxSearched

    return OnnxSearched(model, rules, calibration, batch)

"""PyTorch networks: `dump` writes a trace, `evaluate` runs the whole network in a design's
arithmetic.

    from sparqsim.torch import dump, evaluate
    report = dump(model, loader, "net.safetensors", images=1)
    result = evaluate(model, loader, pe="sparq-5opt")

Needs the extra `torch`.
"""

from __future__ import annotations

from sparqsim.base.errors import InputError
from sparqsim.base.wording import install_hint

try:
    import torch as _torch  # noqa: F401 - asked for here, so that its absence is told in one line
except ModuleNotFoundError:
    raise InputError(f"sparqsim.torch needs PyTorch: {install_hint('torch')}") from None

from sparqsim.networks.torch.dump import dump
from sparqsim.networks.torch.dumpreport import DumpReport
from sparqsim.networks.torch.evaluate import Evaluation, evaluate
from sparqsim.networks.torch.quantised import QuantisedNetwork

__all__ = ["DumpReport", "Evaluation", "QuantisedNetwork", "dump", "evaluate"]

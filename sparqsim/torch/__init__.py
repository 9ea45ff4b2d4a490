"""The public path of PyTorch networks: `from sparqsim.torch import dump, evaluate`."""

from __future__ import annotations

from sparqsim.networks.torch import DumpReport, Evaluation, QuantisedNetwork, dump, evaluate

__all__ = ["DumpReport", "Evaluation", "QuantisedNetwork", "dump", "evaluate"]

"""A trace of an ONNX network: onnxruntime runs it, what its layers take is stored at 8 bits.

`dump(network, pictures, path)` writes it, `trace_of(network, pictures)` keeps it in memory;
`network` is what `sparqsim.networks.onnx.network.calibrated` gives.
"""

from __future__ import annotations

from sparqsim.networks.dump import dump, trace_of
from sparqsim.networks.onnx.network import Network

__all__ = ["Network", "dump", "trace_of"]

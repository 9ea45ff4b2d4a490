"""An ONNX graph whose convolutions and products run on 8-bit integers, with the integer sums left
open.

Every node that the array runs becomes

    codes = QuantizeLinear(x)            (a network's own codes are taken as they are)
    sums  = sparqsim.Sums(codes)         int32: sum of (x - zx) * (w - zw), in a design's arithmetic
    y     = float(sums) * scale + bias   (QLinear nodes: requantised to their own output codes)

Codes are uint8 here, also for signed layers (128 higher). `direct.py` computes the sums with numpy,
layer by layer; `native.py` replaces `Sums` by standard operators, so that onnxruntime runs the
whole. All else is shared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.networks.images import needed
from sparqsim.networks.onnx.graph import MODERN_OPSET
from sparqsim.networks.onnx.macs import MacNode
from sparqsim.networks.onnx.network import Network
from sparqsim.quantise.codes import LIMITS

Array = NDArray[Any]

DOMAIN, SUMS = "sparqsim", "Sums"


class GraphBuilder:
    """Collects nodes and initializers; names are kept apart by a prefix.

    Parameters
    ----------
    prefix : str
        Begins every name made here.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def constant(self, value: Array | np.generic) -> str:
        """Add an initializer and return its name."""
        name = f"{self._prefix}.c{len(self.initializers)}"
        self.initializers.append(
            needed("onnx.numpy_helper", "onnx").from_array(np.asarray(value, order="C"), name)
        )
        return name

    def node(
        self, operator: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any
    ) -> str:
        """Add a node and return the name of its output."""
        output = output or f"{self._prefix}.t{len(self.nodes)}"
        helper = needed("onnx.helper", "onnx")
        self.nodes.append(
            helper.make_node(
                operator, list(inputs), [output], domain=domain, name=f"{output}.node", **attributes
            )
        )
        return output

    def cast(self, tensor: str, dtype: Any) -> str:
        """Add a cast and return its output."""
        helper = needed("onnx.helper", "onnx")
        return self.node("Cast", tensor, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


def quantised_model(network: Network) -> Any:
    """Return the model with a `sparqsim.Sums` node for every node of `network`.

    Raises
    ------
    InputError
        For a model older than opset 13 that `Graph.modern` could not convert.
    """
    helper = needed("onnx.helper", "onnx")
    source = network.graph.model
    if network.graph.opset < MODERN_OPSET:
        raise InputError(
            f"{network.graph.path}: opset {network.graph.opset} cannot be converted to "
            f"{MODERN_OPSET}, expected a model of a later opset"
        )
    model = type(source)()
    model.CopyFrom(source)
    macs = {node.at: node for node in network.nodes}
    del model.graph.node[:]
    for at, node in enumerate(network.graph.nodes):
        if at not in macs:
            model.graph.node.append(node)
            continue
        builder = _integer_node(network, macs[at], node)
        model.graph.node.extend(builder.nodes)
        model.graph.initializer.extend(builder.initializers)
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return model


def _integer_node(network: Network, mac: MacNode, node: Any) -> GraphBuilder:
    builder = GraphBuilder(f"sparqsim.{mac.at}")
    inputs = [_codes(builder, network, name) for name in mac.tensors]
    sums = builder.node(SUMS, *inputs, domain=DOMAIN, layer=mac.name)
    output = node.output[0]
    if mac.integer:
        _integer_output(builder, network, mac, sums, output)
        return builder
    quantises = node.op_type in ("QLinearConv", "QLinearMatMul") or (
        len(node.input) > 8 and bool(node.input[7])
    )
    if quantises:
        scale, point = node.input[7 if node.op_type == "QGemm" else 6 :][:2]
        value = _real(builder, network, mac, sums)
        builder.node("QuantizeLinear", value, scale, point, output=output)
        return builder
    value = _added(builder, mac, _in_own_type(builder, network, mac, sums))
    builder.node("Identity", value, output=output)
    return builder


def _integer_output(
    builder: GraphBuilder, network: Network, mac: MacNode, sums: str, output: str
) -> None:
    """Give the sums in the network's own unit, or in that of a scale found at run time."""
    if not mac.dynamic_scale:
        builder.node("Identity", sums, output=output)
        return
    own = builder.node("Div", _real(builder, network, mac, sums), mac.dynamic_scale)
    helper = needed("onnx.helper", "onnx")
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(np.int32))
    builder.node("Cast", builder.node("Round", own), output=output, to=kind)


def _codes(builder: GraphBuilder, network: Network, tensor: str) -> str:
    """Return the tensor's codes as uint8: stored integers, 128 higher where they are int8."""
    codes = network.codes[tensor]
    if network.dtypes[tensor].kind == "f":
        zero = 128 if codes.stored_signed else codes.stored_zero_point
        real = tensor
        if network.dtypes[tensor] != np.float32:
            real = builder.cast(tensor, np.float32)
        scale = builder.constant(np.float32(codes.scale))
        code = builder.node("QuantizeLinear", real, scale, builder.constant(np.uint8(zero)))
        if tensor in network.own or not codes.stored_signed:
            return code
        # Codes chosen here are symmetric, and QuantizeLinear's go one further down.
        return builder.node("Max", code, builder.constant(np.uint8(128 + LIMITS[True][0])))
    if not codes.signed:
        return tensor
    wide = builder.node("Add", builder.cast(tensor, np.int32), builder.constant(np.int32(128)))
    return builder.cast(wide, np.uint8)


def _real(builder: GraphBuilder, network: Network, mac: MacNode, sums: str) -> str:
    """Return sums * scale + bias, float32."""
    value = builder.node(
        "Mul",
        builder.cast(sums, np.float32),
        builder.constant(_along_channels(network, mac, output_scale(network, mac))),
    )
    if mac.bias is None:
        return value
    return builder.node("Add", value, builder.constant(_along_channels(network, mac, mac.bias)))


def _along_channels(
    network: Network, mac: MacNode, values: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return one value per output channel in the axes of the node's output."""
    if values.size == 1:
        return values.reshape(())
    if mac.convolution:
        return values.reshape(-1, *[1] * (len(network.shapes[mac.source]) - 2))
    one_row = len(network.shapes[mac.source]) == 1
    return values.reshape(-1, 1) if mac.product.mirrored and not one_row else values


def _in_own_type(builder: GraphBuilder, network: Network, mac: MacNode, sums: str) -> str:
    """Return the node's real output in the type that the network computes it in."""
    value, dtype = _real(builder, network, mac, sums), network.dtypes[mac.source]
    if dtype.kind != "f":
        return value
    return value if dtype == np.float32 else builder.cast(value, dtype)


def _added(builder: GraphBuilder, mac: MacNode, value: str) -> str:
    """Add what the node adds beside a constant bias per channel."""
    if not mac.added:
        return value
    more = mac.added
    if mac.convolution:
        axes = np.arange(1, 1 + len(mac.spatial["kernel_shape"]))
        more = builder.node("Unsqueeze", more, builder.constant(axes.astype(np.int64)))
    if mac.beta != 1.0:
        like = builder.node("CastLike", builder.constant(np.float32(mac.beta)), more)
        more = builder.node("Mul", more, like)
    return builder.node("Add", value, more)


def output_scale(network: Network, mac: MacNode) -> NDArray[np.float32]:
    """Return the real value of 1 in a layer's sums: float32 (output channel,), or ()."""
    unit = network.site(mac).unit
    if mac.weights is None:
        return np.asarray(unit[0] * mac.product.alpha, np.float32)
    return unit.astype(np.float32)

"""Reading the nodes with MACs: which operand is weights, whose codes are used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.networks.onnx.graph import Graph
from sparqsim.networks.onnx.macs import MacNode, Product
from sparqsim.networks.onnx.nodefacts import NodeFacts, Operand
from sparqsim.networks.onnx.operators import CONVOLUTIONS, INTEGER_OPS, MAC_OPS, PICKS, QLINEAR_OPS
from sparqsim.networks.onnx.quantisation import dequantised
from sparqsim.networks.onnx.spatial import checked_spatial
from sparqsim.networks.onnx.weights import ReadWeights, WeightReader
from sparqsim.quantise.codes import ActivationCodes, WeightCodes

BIAS_AT = {"Conv": 2, "Gemm": 2, "QLinearConv": 8, "QGemm": 6}


def read_nodes(graph: Graph, skip: frozenset[str] = frozenset()) -> list[MacNode]:
    """Return the nodes that the array runs.

    Raises
    ------
    InputError
        Naming the node that cannot be read, or the graph without any.
    """
    nodes = [read_node(graph, at) for at in graph.mac_nodes(skip)]
    if not nodes:
        raise InputError(
            f"{graph.path}: no node multiplies and accumulates, expected "
            f"{', '.join(sorted(MAC_OPS))}"
        )
    return nodes


def read_node(graph: Graph, at: int) -> MacNode:
    """Return one node as the layers need it: operands, scales, zero points.

    Raises InputError, naming the node.
    """
    facts = NodeFacts(graph, at)
    try:
        return _read(facts)
    except InputError as error:
        if str(error).startswith(f"{graph.path}: node"):
            raise
        raise facts.fault(str(error)) from None


def _read(facts: NodeFacts) -> MacNode:
    left, right = facts.operands()
    convolution = facts.kind in CONVOLUTIONS
    mirrored = not convolution and facts.is_constant(left[0]) and not facts.is_constant(right[0])
    source, second = (right, left) if mirrored else (left, right)
    read = _weights(facts, second, mirrored)
    weights = None if read is None else read.codes
    tensor, codes = _activations(facts, source)
    other, other_codes = _second(facts, second[0]) if weights is None else ("", None)
    bias, added = _bias(facts, codes, weights, mirrored)
    return MacNode(
        name=facts.name,
        at=facts.at,
        convolution=convolution,
        source=tensor,
        codes=codes,
        weights=weights,
        bias=bias,
        spatial=_spatial(facts, second[0], source[0]) if convolution else {},
        other=other,
        other_codes=other_codes,
        product=Product() if convolution else _product(facts, second, mirrored),
        added=added,
        beta=facts.number("beta", 1.0),
        integer=facts.kind in INTEGER_OPS,
        dynamic_scale=_dynamic_scale(facts, source[0]),
        note="; ".join(facts.notes),
        real_weights=None if read is None else read.real,
    )


def _weights(facts: NodeFacts, operand: Operand, mirrored: bool) -> ReadWeights | None:
    """Return constant weights; None for a second tensor of each batch, or a stack of constants."""
    name = operand[0]
    if not facts.is_constant(name):
        if facts.kind in CONVOLUTIONS | QLINEAR_OPS | INTEGER_OPS:
            raise facts.fault(f"weights {name!r} are computed at run time, expected constants")
        return None
    stack = Product.is_stack(facts.constant_shape(name, "weights"))
    if facts.kind in CONVOLUTIONS or not stack:
        return WeightReader(facts, operand, mirrored).read()
    if facts.kind in QLINEAR_OPS | INTEGER_OPS:
        raise facts.fault("weights are a stack of matrices, expected one matrix")
    facts.notes.append("a stack of constant weights, quantised with one scale for all")
    return None


def _activations(facts: NodeFacts, operand: Operand) -> tuple[str, ActivationCodes | None]:
    """Return the tensor that the array takes, and the network's own codes of it."""
    tensor, _, zero_point = operand
    if facts.kind in QLINEAR_OPS:
        return tensor, facts.codes(operand)
    if facts.kind in INTEGER_OPS:
        return _integer_activations(facts, tensor, zero_point)
    behind = dequantised(facts.graph, tensor, PICKS)
    if behind is None:
        return tensor, None
    if not behind.path:
        return behind.operands[0], facts.codes(behind.operands)
    try:
        return tensor, facts.codes(behind.operands)
    except InputError as error:
        facts.notes.append(f"its input's own codes are quantised anew ({error})")
        return tensor, None


def _integer_activations(
    facts: NodeFacts, tensor: str, zero_point: str
) -> tuple[str, ActivationCodes | None]:
    """Return the codes that an integer operator takes; real values where found at run time."""
    maker = facts.graph.producer(tensor)
    if maker is not None and maker.op_type == "DynamicQuantizeLinear":
        facts.notes.append(
            "the network quantises this input anew for every batch; here one calibrated scale"
        )
        return str(maker.input[0]), None
    quantises = maker is not None and maker.op_type == "QuantizeLinear" and len(maker.input) > 1
    scale = str(maker.input[1]) if maker is not None and quantises else ""
    if not scale:
        facts.notes.append("its codes have no scale in the graph: 1 is taken")
    return tensor, facts.codes((tensor, scale, zero_point))


def _dynamic_scale(facts: NodeFacts, tensor: str) -> str:
    maker = facts.graph.producer(tensor)
    if facts.kind not in INTEGER_OPS or maker is None or len(maker.output) < 2:
        return ""
    return str(maker.output[1]) if maker.op_type == "DynamicQuantizeLinear" else ""


def _second(facts: NodeFacts, tensor: str) -> tuple[str, ActivationCodes | None]:
    """Return the second of two tensors.

    Its codes are kept where they are int8 around 0, as weights are.
    """
    behind = dequantised(facts.graph, tensor, PICKS)
    if behind is None:
        return tensor, None
    try:
        codes = facts.codes(behind.operands)
    except InputError as error:
        facts.notes.append(f"its second operand's own codes are quantised anew ({error})")
        return tensor, None
    if codes.signed and codes.zero_point == 0:
        return tensor, codes
    facts.notes.append(
        "its second operand's own codes are quantised anew: the array takes int8 codes around 0 "
        "on that side"
    )
    return tensor, None


def _product(facts: NodeFacts, second: Operand, mirrored: bool) -> Product:
    """Return how a product's tensors become rows and columns."""
    constant = facts.is_constant(second[0])
    shape = facts.constant_shape(second[0], "weights") if constant else None
    return Product.of(facts.attributes | {"alpha": facts.number("alpha", 1.0)}, shape, mirrored)


def _spatial(facts: NodeFacts, weights: str, source: str) -> dict[str, Any]:
    shape = facts.constant_shape(weights, "weights")
    return checked_spatial(facts.attributes, shape, facts.graph.sizes.shape(source))


def _bias(
    facts: NodeFacts, codes: ActivationCodes | None, weights: WeightCodes | None, mirrored: bool
) -> tuple[NDArray[np.float32] | None, str]:
    """Return a constant bias per output channel, or the name of one that is added outside."""
    name = facts.inputs[BIAS_AT[facts.kind]] if facts.kind in BIAS_AT else ""
    if not name:
        return None, ""
    value = facts.graph.constant(name)
    channels = 0 if weights is None else len(weights.codes)
    line = value is not None and (value.ndim < 2 or value.shape[:-1] == (1,))
    if weights is None or value is None or mirrored or not line or value.size not in (1, channels):
        if facts.kind in QLINEAR_OPS:
            raise facts.fault(
                f"bias {name!r} is not one constant per output channel, expected that"
            )
        facts.notes.append("its bias is added outside of the array, and is not in the trace")
        return None, name
    real = value.astype(np.float64)
    if facts.kind in QLINEAR_OPS and codes is not None:
        real = real * codes.scale * weights.network_scales
    else:
        real = real * facts.number("beta", 1.0)
    return np.broadcast_to(real.ravel(), channels).astype(np.float32), ""

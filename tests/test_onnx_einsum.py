"""Einsums of ONNX graphs as matrix products: values by NumPy's einsum, layers by the equation."""
# ruff: noqa: E402 - what needs onnx is imported after the lines that skip without it

from __future__ import annotations

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
ort = pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")

from onnx import TensorProto, helper, numpy_helper

from sparqsim import InputError, get_pe
from sparqsim.networks.dump import trace_of
from sparqsim.networks.images import Pictures
from sparqsim.networks.onnx.einsum import Equation, with_products
from sparqsim.networks.onnx.evaluate import OnnxNetwork
from sparqsim.networks.onnx.graph import Graph
from sparqsim.networks.onnx.network import calibrated
from sparqsim.networks.onnx.shapes import read_shapes

#: Sizes by label; 'n' is the batch.
SIZES = dict(zip("nabcdehijk", (2, 3, 2, 4, 6, 5, 3, 4, 7, 8), strict=True))
#: Equation -> the layer's (groups, M, K, N) for two inputs; second operand a constant, or not.
WITH_WEIGHTS = {
    "nid,de->nie": (1, 8, 6, 5),
    "nid,ed->nie": (1, 8, 6, 5),
    "de,nid->nie": (1, 8, 6, 5),
    "nid,de->eni": (1, 8, 6, 5),
    "nid,de": (1, 8, 6, 5),
    "nai j , jk -> na ik": (1, 24, 7, 8),
    "nid,dhe->nihe": (1, 8, 6, 15),
    "nid,hde->nhie": (1, 8, 6, 15),
    "nihe,hed->nid": (1, 8, 15, 6),
    "nihe,hed->din": (1, 8, 15, 6),
    "nihe,ehdc->ncid": (1, 8, 15, 24),
}
OF_ACTIVATIONS = {
    "nhid,nhjd->nhij": (6, 4, 6, 7),
    "nihd,njhd->nhij": (6, 4, 6, 7),
    "nhij,njhd->nihd": (6, 4, 7, 6),
    "nid,njd->nji": (2, 4, 6, 7),
}
LEFT_ALONE = ["nid,nid->ni", "...d,de->...e", "nii,ie->ne", "nid,de->ni",
              "nhid,nhajd->nhiaj", "nid,de,ek->nik", "nid", "nid,d->ni"]  # fmt: skip


def drawn(labels, seed):
    shape = [SIZES[label] for label in labels]
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def save(folder, equation, *, constant):
    """Write a network of one einsum; return its path, inputs and both operands."""
    terms = equation.replace(" ", "").partition("->")[0].split(",")
    names = ["x" if "n" in term else "w" for term in terms] if constant else ["x", "z"]
    operands = {
        name: drawn(term, at) for at, (name, term) in enumerate(zip(names, terms, strict=True))
    }
    given = {name: value for name, value in operands.items() if name != "w"}
    held = [numpy_helper.from_array(value, name) for name, value in operands.items()
            if name == "w"]  # fmt: skip
    node = helper.make_node("Einsum", names, ["y"], name="sum", equation=equation)
    graph = helper.make_graph(
        [node],
        "net",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *value.shape[1:]])
            for name, value in given.items()
        ],
        [helper.make_empty_tensor_value_info("y")],
        held,
    )
    path = folder / "net.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, str(path))
    np.savez(folder / "inputs.npz", **given)
    return path, given, [operands[name] for name in names]


CASES = [(each, True) for each in WITH_WEIGHTS] + [(each, False) for each in OF_ACTIVATIONS]


@pytest.mark.parametrize(("equation", "constant"), CASES)
def test_an_einsum_is_the_product_that_numpy_computes(equation, constant, tmp_path):
    path, given, operands = save(tmp_path, equation, constant=constant)
    expected = np.einsum(equation, *operands)
    graph = with_products(Graph.load(path).modern())
    assert {node.op_type for node in graph.nodes} <= {"MatMul", "Transpose", "Reshape"}
    session = ort.InferenceSession(graph.model.SerializeToString())
    (found,) = session.run(["y"], given)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()
    # The layer, and the network's answers in 8 bits.
    inputs = Pictures.open(tmp_path / "inputs.npz")
    network = calibrated(path, inputs, "max", keep_8bit=[])
    (layer,) = trace_of(network, inputs).layers
    assert layer.name == "sum"
    gemm = layer.gemm
    sizes = (WITH_WEIGHTS if constant else OF_ACTIVATIONS)[equation]
    assert (gemm.groups, gemm.m, gemm.k, gemm.n) == sizes
    if not Equation.of(equation).output.startswith("n"):
        return  # answers come input by input
    answers = OnnxNetwork(network).under(get_pe("mac-8b8b"), inputs, keep_8bit=False)
    computed = np.concatenate(list(answers)).reshape(expected.shape)
    assert np.abs(computed - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize("equation", LEFT_ALONE)
def test_what_matmul_does_not_do_stays_an_einsum(equation):
    found = Equation.of(equation)
    assert found is None or not (found.is_plain or found.is_joined)


def test_one_that_stays_is_named(tmp_path):
    path, _, _ = save(tmp_path, "nid,nid->ni", constant=False)
    with pytest.raises(InputError, match="node 'sum': operator Einsum multiplies"):
        calibrated(path, Pictures.open(tmp_path / "inputs.npz"))


@pytest.mark.parametrize("name", ["Einsum", "sum"])
def test_one_that_is_left_out_is_counted(name, tmp_path):
    path, _, _ = save(tmp_path, "nid,dhe->nihe", constant=True)
    graph = with_products(Graph.load(path), frozenset({name}))
    assert [node.op_type for node in graph.nodes] == ["Einsum"]


@pytest.mark.parametrize("equation", WITH_WEIGHTS)
def test_shapes_alone_give_the_same_layers(equation, tmp_path):
    path, _, _ = save(tmp_path, equation, constant=True)
    (shape,) = read_shapes(path, sizes={"batch": 2}).layers
    groups, m, k = shape.activations
    assert (groups, m, k, shape.weights[0] // groups) == WITH_WEIGHTS[equation]

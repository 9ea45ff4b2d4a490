"""ONNX networks: traces, codes of quantised networks, and designs run by onnxruntime and by
numpy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparqsim import ArrayConfig, InputError, get_pe, load_trace, simulate
from sparqsim.networks.images import Pictures
from sparqsim.pe.arithmetic import layer_sums
from sparqsim.quantise.codes import ActivationCodes, WeightCodes

onnx = pytest.importorskip("onnx", reason="needs the extra 'onnx'")
ort = pytest.importorskip("onnxruntime", reason="needs the extra 'onnx'")
pytest.importorskip("PIL", reason="needs the extra 'onnx' (pillow)")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from sparqsim.networks.dump import dump, trace_of  # noqa: E402
from sparqsim.networks.onnx.direct import DirectRun  # noqa: E402
from sparqsim.networks.onnx.evaluate import OnnxNetwork  # noqa: E402
from sparqsim.networks.onnx.fold import folded  # noqa: E402
from sparqsim.networks.onnx.graph import Graph  # noqa: E402
from sparqsim.networks.onnx.native import PairTable  # noqa: E402
from sparqsim.networks.onnx.network import calibrated  # noqa: E402
from sparqsim.networks.onnx.session import Session  # noqa: E402
from sparqsim.networks.onnx.shapes import read_shapes  # noqa: E402

RANDOM = np.random.default_rng(7)
STEPS = "scale:1/255,mean:0.5,std:0.25"
DESIGNS = (
    "mac-8b8b",
    "mac-4b8b",
    "mac-4b4b:rounding=trim",
    "sparq-5opt",
    "sparq-2opt:rounding=trim",
    "sparq-6opt",
    "sparq-7opt:pairing=off",
    "sparq-exact",
)


def normal(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


def save(
    path: Path,
    nodes: list[Any],
    constants: dict[str, np.ndarray],
    shape: list[Any],
    kind: int = TensorProto.FLOAT,
    output_kind: int = TensorProto.FLOAT,
    opset: int = 17,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", output_kind, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.save(model, str(path))
    return path


def pictures(
    path: Path, count: int = 5, size: tuple[int, int] = (9, 10), steps: str = STEPS
) -> Pictures:
    np.savez(path, images=RANDOM.integers(0, 256, (count, *size, 3), dtype=np.uint8))
    return Pictures.open(path, steps)


@pytest.fixture
def shown(tmp_path: Path) -> Pictures:
    return pictures(tmp_path / "pictures.npz")


@pytest.fixture
def network_file(tmp_path: Path) -> Path:
    """Folded batch norm, asymmetric automatic padding, groups, dilation, a depthwise layer, a
    product.
    """
    nodes = [
        helper.make_node(
            "Conv", ["x", "w0"], ["c0"], name="/first/Conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1]
        ),
        helper.make_node("BatchNormalization", ["c0", "gain", "shift", "mean", "variance"], ["b0"]),
        helper.make_node("Relu", ["b0"], ["r0"]),
        helper.make_node(
            "Conv",
            ["r0", "w1", "bias1"],
            ["c1"],
            name="strided",
            auto_pad="SAME_UPPER",
            strides=[2, 2],
        ),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node(
            "Conv",
            ["r1", "w2"],
            ["c2"],
            name="grouped",
            group=2,
            pads=[2, 1, 0, 2],
            dilations=[2, 1],
        ),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node(
            "Conv", ["r2", "w3"], ["c3"], name="depthwise", group=6, pads=[1, 1, 1, 1]
        ),
        helper.make_node("Relu", ["c3"], ["r3"]),
        helper.make_node("GlobalAveragePool", ["r3"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node(
            "Gemm", ["f", "w4", "bias4"], ["g"], name="hidden", transB=1, alpha=0.5, beta=2.0
        ),
        helper.make_node("Relu", ["g"], ["r4"]),
        helper.make_node("MatMul", ["r4", "w5"], ["y"], name="last"),
    ]
    constants = {
        "w0": normal(6, 3, 3, 3),
        "gain": normal(6),
        "shift": normal(6),
        "mean": normal(6),
        "variance": RANDOM.uniform(0.5, 2, 6).astype(np.float32),
        "w1": normal(8, 6, 3, 3),
        "bias1": normal(8),
        "w2": normal(6, 4, 3, 2),
        "w3": normal(6, 1, 3, 3),
        "w4": normal(7, 6),
        "bias4": normal(7),
        "w5": normal(7, 4),
    }
    return save(tmp_path / "net.onnx", nodes, constants, ["n", 3, 9, 10])


def scores(batches: Any) -> np.ndarray:
    return np.concatenate(list(batches))


def test_dump_holds_the_operands_of_the_network(
    network_file: Path, shown: Pictures, tmp_path: Path
) -> None:
    """Real values rebuilt from the trace are the float network's, up to half a step of each
    operand.
    """
    network = calibrated(network_file, shown, "max")
    target = tmp_path / "t.safetensors"
    report = dump(network, shown, target)
    trace = load_trace(target)
    outputs = next(iter(Session(network.graph, ["b0", "c1", "c2", "c3", "g", "y"]).batches(shown)))
    for layer, (tensor, value) in zip(trace.layers, outputs.items(), strict=True):
        sums = layer_sums(layer, get_pe("mac-8b8b"))
        real = sums * layer.record.activation_scale * np.array(layer.record.weight_scales)
        real = real if layer.bias is None else real + layer.bias
        wanted = value.transpose(0, 2, 3, 1).reshape(real.shape) if value.ndim == 4 else value
        assert np.abs(real - wanted).max() < 0.03 * np.abs(wanted).max(), tensor
    assert [layer.signed for layer in trace.layers] == [True, False, False, False, False, False]
    assert [layer.name for layer in trace.layers if layer.keep_8bit] == ["first/Conv", "last"]
    assert [layer.reason.partition(":")[0] for layer in report.layers] == [
        "signed",
        *["unsigned"] * 5,
    ]
    assert trace.layers[1].record.geometry.padding == (1, 1, 0, 1)


def test_dump_counts_zeros_and_pairs(network_file: Path, shown: Pictures, tmp_path: Path) -> None:
    report = dump(calibrated(network_file, shown), shown, tmp_path / "t.safetensors")
    layer = load_trace(tmp_path / "t.safetensors").layers[1]
    values = layer.activations
    assert report.layers[1].values == values.size
    assert report.layers[1].zeros == int((values == 0).sum())
    assert report.layers[1].pairs_with_zero == int((values.reshape(-1, 2) == 0).any(axis=1).sum())


def test_dump_does_not_depend_on_batches(
    network_file: Path, shown: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = calibrated(network_file, shown)
    dump(network, shown, tmp_path / "all.safetensors")
    monkeypatch.setattr(Session.batches, "__defaults__", (2,))
    dump(calibrated(network_file, shown), shown, tmp_path / "twos.safetensors")
    assert (tmp_path / "all.safetensors").read_bytes() == (
        tmp_path / "twos.safetensors"
    ).read_bytes()
    assert (
        trace_of(network, shown).layers[2].activations.tolist()
        == load_trace(tmp_path / "all.safetensors").layers[2].activations.tolist()
    )


def test_a_trace_names_the_batch_norm_that_is_part_of_a_layer(
    network_file: Path, shown: Pictures, tmp_path: Path
) -> None:
    network = calibrated(network_file, shown)
    dump(network, shown, tmp_path / "t.safetensors")
    trace = load_trace(tmp_path / "t.safetensors")
    pairs = trace.metadata.provenance["folded_batch_norms"]
    norms = [node for node in Graph.load(network_file).nodes if "BatchNorm" in node.op_type]
    assert len(pairs) == len(norms) == 1
    assert set(pairs) <= {layer.name for layer in trace.layers}
    assert trace_of(network, shown).metadata.provenance["folded_batch_norms"] == pairs
    report = simulate(trace, "mac-8b8b", ArrayConfig(4, 4))
    assert report.provenance.folded_batch_norms == 1


def test_batch_norm_is_folded(network_file: Path, shown: Pictures) -> None:
    graph = Graph.load(network_file)
    assert "BatchNormalization" not in [node.op_type for node in folded(graph).graph.nodes]
    before, after = (
        next(iter(Session(each).batches(shown)))["y"] for each in (graph, folded(graph).graph)
    )
    np.testing.assert_allclose(before, after, rtol=1e-3, atol=1e-3 * np.abs(before).max())


# Designs for unsigned activations cannot run the first layer, which is signed.
@pytest.mark.parametrize(
    ("design", "keep"),
    [*((name, True) for name in DESIGNS), *((name, False) for name in DESIGNS[:3])],
)
def test_native_equals_direct(network_file: Path, shown: Pictures, design: str, keep: bool) -> None:
    """Scores are equal bit for bit, whichever way the sums are computed."""
    pe = get_pe(design)
    network = calibrated(network_file, shown)
    native = scores(OnnxNetwork(network).under(pe, shown, keep_8bit=keep))
    direct = scores(OnnxNetwork(network, native=False).under(pe, shown, keep_8bit=keep))
    assert np.array_equal(native, direct)
    if design not in {"mac-8b8b", "sparq-exact"}:
        exact = scores(OnnxNetwork(network).under(get_pe("mac-8b8b"), shown))
        assert not np.array_equal(native, exact)


@pytest.mark.parametrize("design", ["swis", "swis:shifts=1", "swis:shifts=target:2.5"])
def test_native_equals_direct_where_weights_change(
    network_file: Path, shown: Pictures, design: str
) -> None:
    """One shift makes 127 a 128, which no uint8 weight can be: such a layer is none of
    operators.
    """
    pe, network = get_pe(design), calibrated(network_file, shown)
    native = scores(OnnxNetwork(network).under(pe, shown, keep_8bit=False))
    direct = scores(OnnxNetwork(network, native=False).under(pe, shown, keep_8bit=False))
    assert np.array_equal(native, direct)


@pytest.mark.parametrize(
    "design", ["mac-8b8b", "mac-4b4b", "sparq-5opt", "sparq-2opt:rounding=trim"]
)
def test_every_integer_equals_a_plain_recomputation(
    network_file: Path, tmp_path: Path, design: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole network, layer by layer: loops of `PEDesign.step` over what each layer met; native
    scores are these.
    """
    from networks.stepped import recorder, stepped_sums

    one = pictures(tmp_path / "one.npz", 1)
    network, pe = calibrated(network_file, one), get_pe(design)
    seen = recorder(monkeypatch)
    outputs = scores(OnnxNetwork(network, native=False).under(pe, one))
    assert [layer.name for layer, _, _ in seen] == [mac.name for mac in network.nodes]
    for layer, used, sums in seen:
        assert np.array_equal(sums, stepped_sums(layer, used)), layer.name
    assert np.array_equal(outputs, scores(OnnxNetwork(network).under(pe, one)))


@pytest.mark.parametrize("opset", [7, 11, 12])
def test_old_opsets_are_converted(tmp_path: Path, shown: Pictures, opset: int) -> None:
    """Squeeze and ReduceSum took their axes as attributes before opset 13."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="only"),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Squeeze", ["p"], ["s"], axes=[2]),
        helper.make_node("ReduceSum", ["s"], ["y"], axes=[2], keepdims=0),
    ]
    file = save(
        tmp_path / "old.onnx", nodes, {"w": normal(6, 3, 3, 3)}, ["n", 3, 9, 10], opset=opset
    )
    model = onnx.load(str(file))
    model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [6, 3, 3, 3]))
    onnx.save(model, str(file))
    network = OnnxNetwork(calibrated(file, shown))
    own, mine = scores(network.reference(shown)), scores(network.under(get_pe("mac-8b8b"), shown))
    assert np.abs(own - mine).max() < 0.03 * np.abs(own).max()


def test_route_says_what_numpy_computes(network_file: Path, shown: Pictures) -> None:
    network = OnnxNetwork(calibrated(network_file, shown))
    assert network.route(get_pe("mac-4b8b")) == "onnxruntime"
    assert network.route(get_pe("sparq-5opt")).startswith(
        "onnxruntime; numpy for 1 layer (pairs of 1 channels"
    )


def test_tables_are_the_designs() -> None:
    assert PairTable.of(get_pe("mac-8b8b"), signed=True).identity
    assert PairTable.of(get_pe("mac-4b8b"), signed=True).elementwise is not None
    sparq = PairTable.of(get_pe("sparq-5opt"), signed=False)
    assert sparq.elementwise is None
    rows = RANDOM.integers(0, 256, (50, 11)).astype(np.uint8)
    used = get_pe("sparq-5opt").used_activations(rows)
    assert np.array_equal(sparq.applied(rows, signed=False), used)


class Uneven(type(get_pe("mac-8b8b"))):  # type: ignore[misc]
    """Uses every fourth activation only: no table of pairs says that."""

    def used_activations(self, x: np.ndarray) -> np.ndarray:
        return x * (np.arange(x.shape[-1]) % 4 == 0)


def test_a_design_that_is_no_table_of_pairs_goes_the_direct_way() -> None:
    assert PairTable.of(Uneven(), signed=False) is None


def quantised_nodes(
    zero_points: tuple[int, int, int], signed: bool
) -> tuple[list[Any], dict[str, np.ndarray]]:
    """Return a QLinearConv with a bias, codes of x int8 or uint8, weights uint8."""
    dtype = np.int8 if signed else np.uint8
    constants = {
        "xs": np.float32(0.02),
        "xz": dtype(zero_points[0]),
        "ws": np.float32(0.01),
        "wz": np.uint8(zero_points[1]),
        "ys": np.float32(0.3),
        "yz": dtype(zero_points[2]),
        "w": RANDOM.integers(0, 256, (4, 3, 3, 3)).astype(np.uint8),
        "b": RANDOM.integers(-900, 900, 4).astype(np.int32),
    }
    return [
        helper.make_node(
            "QLinearConv",
            ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"],
            ["y"],
            name="q",
            pads=[1, 1, 1, 1],
        )
    ], constants


@pytest.mark.parametrize("zero_points", [(0, 128, 0), (0, 122, 10), (131, 128, 40), (77, 200, 9)])
def test_qlinear_codes_are_exact(tmp_path: Path, zero_points: tuple[int, int, int]) -> None:
    """Sums from the trace, requantised, are onnxruntime's own output codes."""
    nodes, constants = quantised_nodes(zero_points, signed=False)
    file = save(
        tmp_path / "q.onnx", nodes, constants, ["n", 3, 6, 5], TensorProto.UINT8, TensorProto.UINT8
    )
    shown = pictures(tmp_path / "p.npz", 3, (6, 5), "")
    network = calibrated(file, shown)
    trace = trace_of(network, shown)
    record = trace.layers[0].record
    assert (record.activation_zero_point, record.zero_point_corrected) == (
        zero_points[0],
        zero_points[:2] != (0, 128),
    )
    sums = layer_sums(trace.layers[0], get_pe("mac-8b8b")) + constants["b"]
    factor = np.float32(constants["xs"] * constants["ws"] / constants["ys"])
    codes = np.clip(np.rint(sums.astype(np.float32) * factor) + zero_points[2], 0, 255)
    own = next(iter(Session(Graph.load(file)).batches(shown)))["y"]
    assert np.array_equal(codes.reshape(3, 6, 5, 4).transpose(0, 3, 1, 2), own)
    assert network.calibrator == "the network's own scales"


def test_integer_sums_equal_onnxruntimes(tmp_path: Path) -> None:
    """int8 codes around -128, 0 and another zero point: sums are those of ConvInteger, integer for
    integer.
    """
    x = RANDOM.integers(-128, 128, (2, 3, 6, 5)).astype(np.int8)
    w = RANDOM.integers(-128, 128, (4, 3, 3, 3)).astype(np.int8)
    for point in (-128, 0, -5):
        constants = {
            "w": w.view(np.uint8) ^ np.uint8(128),
            "xz": np.uint8(point + 128),
            "wz": np.uint8(131),
        }
        file = save(
            tmp_path / "i.onnx",
            [helper.make_node("ConvInteger", ["x", "w", "xz", "wz"], ["y"], pads=[1, 1, 1, 1])],
            constants,
            ["n", 3, 6, 5],
            TensorProto.UINT8,
            TensorProto.INT32,
        )
        session = ort.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        wanted = session.run(None, {"x": x.view(np.uint8) ^ np.uint8(128)})[0]
        codes = ActivationCodes(1.0, point, signed=True)
        weights = WeightCodes.of_network(
            w.reshape(4, 3, 9).transpose(0, 2, 1), np.ones(1), np.array([3])
        )
        layer = conv_layer(codes, weights, np.ascontiguousarray(x.transpose(0, 2, 3, 1)))
        sums = layer_sums(layer, get_pe("mac-8b8b"))
        assert np.array_equal(sums.reshape(2, 6, 5, 4).transpose(0, 3, 1, 2), wanted)
        assert layer.signed == (point == 0)


def conv_layer(codes: ActivationCodes, weights: WeightCodes, x: np.ndarray) -> Any:
    from sparqsim import Layer

    return Layer.conv2d(
        "c",
        codes.stored(x),
        np.ascontiguousarray(weights.codes),
        kernel=(3, 3),
        padding=(1, 1, 1, 1),
        activation_zero_point=codes.stored_zero_point,
        zero_point_corrected=True,
        **weights.fields,
    )


@pytest.mark.parametrize("signed", [False, True])
def test_qdq_network_uses_its_own_codes(tmp_path: Path, signed: bool) -> None:
    dtype, point = (np.int8, -128) if signed else (np.uint8, 0)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "xs", "xz"], ["q0"]),
        helper.make_node("DequantizeLinear", ["q0", "xs", "xz"], ["d0"]),
        helper.make_node("DequantizeLinear", ["w", "ws"], ["dw"], axis=0),
        helper.make_node("Conv", ["d0", "dw"], ["c"], name="q", pads=[0, 0, 0, 0]),
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
        helper.make_node("Flatten", ["g"], ["y"]),
    ]
    constants = {
        "xs": np.float32(1 / 255),
        "xz": dtype(point),
        "ws": np.array([0.1, 0.2, 0.05], np.float32),
        "w": RANDOM.integers(-128, 128, (3, 3, 2, 2)).astype(np.int8),
    }
    file = save(tmp_path / "qdq.onnx", nodes, constants, ["n", 3, 6, 5])
    shown = pictures(tmp_path / "p.npz", 3, (6, 5), "scale:1/255")
    network = calibrated(file, shown)
    layer = trace_of(network, shown).layers[0]
    assert np.array_equal(layer.activations, np.load(tmp_path / "p.npz")["images"])
    assert np.array_equal(layer.weights, constants["w"].reshape(3, 3, 4).transpose(0, 2, 1))
    assert np.allclose(layer.record.weight_scales, constants["ws"])
    answers = OnnxNetwork(network)
    own, mine = scores(answers.reference(shown)), scores(answers.under(get_pe("mac-8b8b"), shown))
    np.testing.assert_allclose(own, mine, rtol=1e-4, atol=1e-4)
    direct = scores(
        OnnxNetwork(network, native=False).under(get_pe("sparq-3opt"), shown, keep_8bit=False)
    )
    assert np.array_equal(
        scores(answers.under(get_pe("sparq-3opt"), shown, keep_8bit=False)), direct
    )


@pytest.mark.parametrize("design", ["mac-8b8b", "mac-4b8b", "sparq-2opt"])
def test_padding_holds_the_zero_point_on_both_routes(tmp_path: Path, design: str) -> None:
    """A zero point that the design changes is padded before the design looks at it."""
    constants = {
        "xs": np.float32(0.02),
        "xz": np.uint8(77),
        "ws": np.float32(0.01),
        "wz": np.uint8(120),
        "ys": np.float32(0.3),
        "yz": np.uint8(3),
        "w": RANDOM.integers(0, 256, (2, 4, 3, 3)).astype(np.uint8),
    }
    nodes = [
        helper.make_node(
            "QLinearConv",
            ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"],
            ["c"],
            name="q",
            pads=[1, 0, 2, 1],
        ),
        helper.make_node("Flatten", ["c"], ["y"]),
    ]
    file = save(
        tmp_path / "q.onnx", nodes, constants, ["n", 4, 6, 5], TensorProto.UINT8, TensorProto.UINT8
    )
    network = calibrated(
        file,
        Pictures(
            ("0",),
            Pictures.open(_file_of(tmp_path), "").preprocess,
            array=RANDOM.integers(0, 256, (1, 4, 6, 5), dtype=np.uint8),
        ),
    )
    feeds = {"x": RANDOM.integers(0, 256, (3, 4, 6, 5), dtype=np.uint8)}
    from sparqsim.networks.onnx.native import native_model
    from sparqsim.networks.onnx.quantised import quantised_model

    model, designs = quantised_model(network), {"q": get_pe(design)}
    direct = DirectRun(model, network, network.sites).run(feeds, designs)[0]
    natively = native_model(model, network, designs)
    native = DirectRun(natively, network, network.sites).run(feeds, designs)[0]
    assert np.array_equal(direct, native)


def _file_of(folder: Path) -> Path:
    np.savez(folder / "one.npz", images=np.zeros((1, 2, 2, 3), np.uint8))
    return folder / "one.npz"


def test_products_of_two_activations(tmp_path: Path, shown: Pictures) -> None:
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["x", "t"], ["m"], name="attention"),
        helper.make_node("ReduceMean", ["m"], ["y"], axes=[1], keepdims=0),
    ]
    file = save(tmp_path / "a.onnx", nodes, {}, ["n", 3, 9, 10])
    network = calibrated(file, shown)
    dump(network, shown, tmp_path / "a.safetensors")
    layer = load_trace(tmp_path / "a.safetensors").layers[0]
    assert (layer.gemm.groups, layer.gemm.m, layer.gemm.k, layer.gemm.n) == (15, 9, 10, 9)
    value = next(iter(Session(network.graph, ["m"]).batches(shown)))["m"].reshape(15, 9, 9)
    sums = layer_sums(layer, get_pe("mac-8b8b")).reshape(9, 15, 9).transpose(1, 0, 2)
    scale = layer.record.activation_scale * layer.record.weight_scales[0]
    assert np.abs(sums * scale - value).max() < 0.05 * np.abs(value).max()
    mine = next(iter(OnnxNetwork(network).under(get_pe("mac-8b8b"), shown, keep_8bit=False)))
    own = next(iter(OnnxNetwork(network).reference(shown)))
    assert np.abs(mine - own).max() < 0.05 * np.abs(own).max()


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (
            helper.make_node("ConvTranspose", ["x", "w"], ["y"], name="up"),
            ("node 'up'", "ConvTranspose", "--skip ConvTranspose"),
        ),
        (
            helper.make_node("Einsum", ["x", "x"], ["y"], name="e", equation="nchw,nchw->nc"),
            ("node 'e'", "Einsum"),
        ),
        (
            helper.make_node("Strange", ["x"], ["y"], name="s", domain="my.own"),
            ("node 's'", "my.own.Strange is unknown"),
        ),
        (helper.make_node("Conv", ["x", "w3d"], ["y"], name="c3"), ("node 'c3'", "3-dimensional")),
        (
            helper.make_node("Conv", ["x", "x"], ["y"], name="dynamic"),
            ("node 'dynamic'", "computed at run time"),
        ),
        (helper.make_node("Relu", ["x"], ["y"]), ("no node multiplies and accumulates",)),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, shown: Pictures, node: Any, words: tuple[str, ...]
) -> None:
    constants = {"w": normal(3, 2, 3, 3), "w3d": normal(2, 3, 1, 1, 1)}
    file = save(tmp_path / "bad.onnx", [node], constants, ["n", 3, 9, 10])
    with pytest.raises(InputError) as caught:
        calibrated(file, shown)
    assert all(word in str(caught.value) for word in (*words, str(file)))


def test_skipped_nodes_are_listed(tmp_path: Path, shown: Pictures) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="kept"),
        helper.make_node("ConvTranspose", ["c", "v"], ["y"], name="up"),
    ]
    file = save(
        tmp_path / "t.onnx",
        nodes,
        {"w": normal(3, 3, 1, 1), "v": normal(3, 2, 3, 3)},
        ["n", 3, 9, 10],
    )
    report = dump(
        calibrated(file, shown, skip=["ConvTranspose"]), shown, tmp_path / "t.safetensors"
    )
    assert report.skipped == ("up (ConvTranspose)",)
    assert load_trace(tmp_path / "t.safetensors").metadata.provenance["skipped"] == [
        "up (ConvTranspose)"
    ]


def test_infinite_activations_name_the_layer(tmp_path: Path, shown: Pictures) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="fine"),
        helper.make_node("Div", ["c", "zero"], ["d"]),
        helper.make_node("Conv", ["d", "w"], ["y"], name="broken"),
    ]
    file = save(
        tmp_path / "n.onnx",
        nodes,
        {"w": normal(3, 3, 1, 1), "zero": np.zeros((), np.float32)},
        ["n", 3, 9, 10],
    )
    with pytest.raises(InputError, match="layer 'broken': activations hold NaN or infinite"):
        calibrated(file, shown)


def test_a_foreign_file_is_bad_input(tmp_path: Path, shown: Pictures) -> None:
    (tmp_path / "x.onnx").write_bytes(b"not a model")
    for read in (
        lambda: calibrated(tmp_path / "x.onnx", shown),
        lambda: read_shapes(tmp_path / "x.onnx"),
    ):
        with pytest.raises(InputError, match=r"x\.onnx"):
            read()


def test_pictures_that_do_not_fit_are_bad_input(network_file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--preprocess"):
        calibrated(network_file, pictures(tmp_path / "big.npz", 2, (11, 12)))


def test_shapes_without_data_are_those_of_the_trace(network_file: Path, shown: Pictures) -> None:
    """The graph alone, its initializers emptied, gives the shapes that a dump finds."""
    model = onnx.load(str(network_file))
    for tensor in model.graph.initializer:
        tensor.ClearField("raw_data")
    network_file.with_name("empty.onnx").write_bytes(model.SerializeToString())
    read = read_shapes(network_file.with_name("empty.onnx"))
    shapes, notes = list(read.layers), list(read.notes)
    layers = trace_of(calibrated(network_file, shown), shown.first(1)).layers
    assert [
        (
            shape.record.name,
            shape.record.geometry,
            shape.record.groups,
            shape.weights,
            shape.record.keep_8bit,
        )
        for shape in shapes
    ] == [
        (
            layer.name,
            layer.record.geometry,
            layer.record.groups,
            layer.weights.shape,
            layer.keep_8bit,
        )
        for layer in layers
    ]
    assert [shape.activations for shape in shapes] == [layer.activations.shape for layer in layers]
    assert notes == ["input 'x': batch n taken as 1"]

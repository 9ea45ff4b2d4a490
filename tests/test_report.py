"""Reports: every cycle attributed, closed forms met, JSON that says the same each time and can be
checked.
"""

from __future__ import annotations

import json
import re
import socket
from dataclasses import replace
from fractions import Fraction
from math import ceil

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sparqsim
from sparqsim.results.comparison import Comparison
from sparqsim.results.report import Report
from sparqsim.results.schemas import FOLDER, schema_files

SHAPE_ONLY = (
    "mac-8b8b",
    "mac-4b8b",
    "mac-4b4b",
    "sparq-5opt",
    "sparq-3opt",
    "sparq-2opt",
    "sparq-6opt",
    "sparq-7opt",
)
LANES = {"mac-8b8b": 1, "mac-4b4b": 4}
SIDE = st.integers(1, 6)
ARRAYS = st.builds(
    sparqsim.ArrayConfig, SIDE, SIDE, st.sampled_from(["os", "ws", "is"]), overlap=st.booleans()
)


@st.composite
def gemm_layers(draw):
    """A layer of any small shape, in groups: pointwise over a batch, so that M is free too."""
    m, k, n, count = (draw(st.integers(1, most)) for most in (15, 20, 15, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.integers(0, 256, (m, 1, 1, count * k)) * (rng.random((m, 1, 1, count * k)) < 0.7)
    w = rng.integers(-128, 128, (count * n, 1, k)).astype(np.int8)
    return sparqsim.Layer.conv2d(
        f"l{m}x{k}x{n}", x.astype(np.uint8), w, kernel=(1, 1), groups=count
    )


def closed_form(layer, name, array):
    """Total cycles of one layer for a design of one cycle per step, as the timing is published."""
    m, k, n, groups = layer.gemm.m, layer.gemm.k, layer.gemm.n, layer.gemm.groups
    r, c, e = array.rows, array.cols, int(name.startswith("sparq"))
    s = ceil(k / LANES.get(name, 2))
    down, across, stream = {"os": (m, n, s), "ws": (s, n, m), "is": (s, m, n)}[array.dataflow]
    tiles = groups * ceil(down / r) * ceil(across / c)
    one = stream + r + c - 2 + e
    if not array.overlap:
        return tiles * (one + r)
    return (tiles - 1) * max(stream, r) + one + r


@given(gemm_layers(), ARRAYS, st.sampled_from(SHAPE_ONLY))
def test_totals_equal_the_closed_form(layer, array, name):
    report = sparqsim.simulate(sparqsim.Trace([layer]), name, array)
    assert report.cycles.total == closed_form(layer, name, array)
    assert report.cycles.pe_stall == 0


@given(
    st.lists(gemm_layers(), min_size=1, max_size=3, unique_by=lambda layer: layer.name),
    ARRAYS,
    st.sampled_from([*SHAPE_ONLY, "sparq-exact"]),
)
def test_attribution_sums_to_the_total(layers, array, name):
    report = sparqsim.simulate(sparqsim.Trace(layers), name, array)
    for cycles in (*(layer.cycles for layer in report.layers), report.totals.cycles):
        parts = [cycles.compute, cycles.fill, cycles.drain, cycles.pe_stall, cycles.memory_stall]
        assert sum(parts) == cycles.total
        assert min(parts) >= 0
    assert report.totals.cycles.total == sum(layer.cycles.total for layer in report.layers)


@given(gemm_layers(), ARRAYS)
def test_sparq_exact_takes_its_closed_form_and_its_stalls(layer, array):
    exact, shape_only = (
        sparqsim.simulate(sparqsim.Trace([layer]), name, array)
        for name in ("sparq-exact", "sparq-5opt")
    )
    assert exact.cycles.total == closed_form(layer, "sparq-exact", array) + exact.cycles.pe_stall
    assert exact.cycles.pe_stall <= shape_only.cycles.total, (
        "a wave of two-cycle steps takes one cycle more"
    )


@given(gemm_layers(), ARRAYS, st.sampled_from([*SHAPE_ONLY, "sparq-exact"]))
def test_utilization_is_what_its_definition_says(layer, array, name):
    report = sparqsim.simulate(sparqsim.Trace([layer]), name, array)
    lanes = LANES.get(name, 2)
    capacity = report.cycles.total * array.rows * array.cols
    x = layer.activations.reshape(layer.gemm.m, layer.gemm.groups, -1)
    w = layer.weights.reshape(layer.gemm.groups, layer.gemm.n, -1)
    nonzero = np.einsum("mgk,gnk->", (x != 0).astype(int), (w != 0).astype(int))
    use = report.utilization
    assert use.array == layer.gemm.macs / (capacity * lanes)
    assert use.effective == nonzero / (capacity * lanes)
    for share in (use.used_pes, use.array, use.effective, use.pe, use.multiplier):
        assert 0 <= share <= 1


def test_an_idle_array_is_not_an_unknown_one():
    """All activations zero: nothing multiplies, which is a known 0, also in the sum over layers."""
    layers = [
        sparqsim.Layer.from_gemm(name, np.full((2, 4), x, np.uint8), np.ones((4, 2), np.int8))
        for name, x in (("dark", 0), ("light", 9))
    ]
    report = sparqsim.simulate(sparqsim.Trace(layers), "sparq-5opt")
    assert (report.layers[0].utilization.pe, report.layers[0].utilization.multiplier) == (0, 0)
    assert report.utilization.pe > 0
    assert set(report.layers[0].activity.values()) == {0}
    assert report.layers[0].activity.keys() == report.layers[1].activity.keys()


@given(gemm_layers(), ARRAYS)
def test_mapping_of_equal_tiles_is_the_mean_of_their_used_pes(layer, array):
    """Without overlap every tile of a shape-only design takes equally long, so the weighted mean is
    the plain mean.
    """
    array = replace(array, overlap=False)
    down, across = {
        "os": (layer.gemm.m, layer.gemm.n),
        "ws": (ceil(layer.gemm.k / 2), layer.gemm.n),
        "is": (ceil(layer.gemm.k / 2), layer.gemm.m),
    }[array.dataflow]
    used = down * across
    room = ceil(down / array.rows) * array.rows * ceil(across / array.cols) * array.cols
    use = sparqsim.simulate(sparqsim.Trace([layer]), "sparq-5opt", array).utilization
    assert Fraction(use.used_pes).limit_denominator(room) == Fraction(used, room)


@pytest.fixture(scope="module")
def report(digits):
    return sparqsim.simulate(digits, "sparq-exact", sparqsim.ArrayConfig(8, 8))


@pytest.fixture(scope="module")
def comparison(digits):
    return sparqsim.compare(
        digits, ["mac-8b8b", "sparq-5opt", "sparq-exact"], sparqsim.ArrayConfig(8, 8)
    )


@pytest.fixture(params=["report", "comparison"])
def result(request):
    return request.getfixturevalue(request.param)


def schema_of(result):
    return json.loads((FOLDER / f"{type(result).__name__.lower()}.schema.json").read_text())


def test_schema_files_are_current():
    """Else run `python -m sparqsim.results.schemas`."""
    assert {path: path.read_text() for path in schema_files()} == schema_files()
    assert {path.name for path in FOLDER.glob("*.json")} == {path.name for path in schema_files()}


def test_json_satisfies_its_schema(result):
    schema = schema_of(result)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(result.to_json()), schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda doc: doc.pop("schema"),
        lambda doc: doc.update(schema="sparqsim.report/3"),
        lambda doc: doc.update(when="today"),
        lambda doc: doc.update(layers="none"),
    ],
    ids=["no schema", "another schema", "unknown field", "wrong type"],
)
def test_the_schema_refuses_what_is_not_a_result(result, spoil):
    doc = json.loads(result.to_json())
    spoil(doc)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema_of(result)).validate(doc)


def test_json_names_what_the_contract_names(report):
    doc = json.loads(report.to_json())
    assert {"schema", "provenance", "pe", "array", "memory", "layers", "totals"} <= doc.keys()
    assert doc["schema"] == "sparqsim.report/2"
    layer = doc["layers"][1]
    assert {
        "name",
        "op",
        "gemm",
        "macs",
        "tiles",
        "cycles",
        "utilization",
        "pairs",
        "windows",
        "error",
    } <= layer.keys()
    assert layer["gemm"].keys() == {"m", "k", "n", "groups"}
    assert layer["cycles"].keys() == {
        "total",
        "compute",
        "fill",
        "drain",
        "pe_stall",
        "memory_stall",
    }
    assert {"used_pes", "array", "effective"} <= layer["utilization"].keys()
    assert {"both_zero", "one_zero", "both_nonzero_exact", "trimmed"} <= layer["pairs"].keys()
    assert {"mse", "sqnr_db", "max_abs"} <= layer["error"].keys()


def test_comparison_json_names_what_the_contract_names(comparison):
    doc = json.loads(comparison.to_json())
    assert doc["schema"] == "sparqsim.comparison/2"
    assert doc["baseline"] == "mac-8b8b"
    totals = {name: each["totals"]["cycles"]["total"] for name, each in doc["reports"].items()}
    assert doc["speedup"] == {name: totals["mac-8b8b"] / total for name, total in totals.items()}
    assert (
        comparison.speedup("sparq-5opt", over="sparq-exact")
        == totals["sparq-exact"] / totals["sparq-5opt"]
    )


def test_json_round_trip(result):
    again = type(result).from_json(result.to_json())
    assert again == result
    assert again.to_json() == result.to_json()


def test_load_reads_what_was_written(result, tmp_path):
    (tmp_path / "r.json").write_text(result.to_json())
    assert type(result).load(tmp_path / "r.json") == result


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("layers", 3, "cycles", "total"), 1),
        (("totals", "cycles", "compute"), 7),
        (("layers", 3, "error", "mse"), 0.5),
        (("layers", 3, "utilization", "array"), 1.0),
        (("layers", 3, "macs"), 1),
        (("layers", 3, "cycles", "compute"), 1),
    ],
)
def test_a_tampered_value_is_refused(report, path, value):
    doc = json.loads(report.to_json())
    part = doc
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(sparqsim.InputError, match=r"^r\.json: .*found") as refused:
        Report.from_json(json.dumps(doc), "r.json")
    assert "\n" not in str(refused.value)


SPOILED_COMPARISONS = {
    "layer missing": lambda doc: doc["layers"].pop(),
    "speedup": lambda doc: doc["speedup"].update({"sparq-5opt": 2.0}),
    "baseline unknown": lambda doc: doc.update(baseline="mac-9b9b"),
    "order unknown": lambda doc: doc["order"].append("mac-9b9b"),
    "no reports": lambda doc: doc["reports"].clear(),
    "report short": lambda doc: doc["reports"]["sparq-5opt"]["layers"].pop(),
    "no outputs": lambda doc: doc["reports"]["sparq-5opt"]["layers"][0]["error"].update(outputs=0),
    "no layers": lambda doc: doc["reports"]["mac-8b8b"].update(layers=[]),
}


@pytest.mark.parametrize("spoil", SPOILED_COMPARISONS.values(), ids=SPOILED_COMPARISONS)
def test_a_tampered_comparison_is_refused(comparison, spoil):
    doc = json.loads(comparison.to_json())
    spoil(doc)
    with pytest.raises(sparqsim.InputError, match=r"^c\.json: "):
        Comparison.from_json(json.dumps(doc), "c.json")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"schema": "sparqsim.report/1"}', "[" * 100_000, '{"a": 1e999}'],
    ids=range(8),
)
def test_what_is_not_a_report_is_refused(text):
    with pytest.raises(sparqsim.InputError, match=r"^r\.json: "):
        Report.from_json(text, "r.json")


def test_equal_runs_give_equal_bytes_wherever_the_trace_lies(digits_path, tmp_path):
    texts = []
    for folder in ("here", "there"):
        path = tmp_path / folder / "t.safetensors"
        path.parent.mkdir()
        path.write_bytes(digits_path.read_bytes())
        texts.append(sparqsim.simulate(sparqsim.load_trace(path), "sparq-exact").to_json())
    assert texts[0] == texts[1]


def test_json_holds_no_path_time_or_host(result, root):
    text = result.to_json()
    assert socket.gethostname() not in text
    assert str(root) not in text
    assert not re.search(r"/(home|tmp|root|work|usr)\b|\b20\d\d-\d\d|\d\d:\d\d", text)


def test_kept_layers_run_on_the_design_or_as_the_8_bit_baseline(report, digits):
    kept = [layer.name for layer in digits.layers if layer.keep_8bit]
    assert [layer.name for layer in report.layers if layer.kept_8bit] == kept
    assert {layer.run_as for layer in report.layers} == {"sparq-exact"}
    ideal = sparqsim.simulate(digits, "sparq-exact", kept="ideal")
    assert {layer.run_as for layer in ideal.layers if layer.kept_8bit} == {"mac-8b8b"}
    assert {layer.run_as for layer in ideal.layers if not layer.kept_8bit} == {"sparq-exact"}
    everything = sparqsim.simulate(digits, "sparq-5opt", keep_8bit=False)
    assert {layer.run_as for layer in everything.layers} == {"sparq-5opt"}


def test_sparq_cycles_do_not_depend_on_values():
    """The same shapes, all zeros and all 255: equal cycles, except for the design that stalls."""

    def total(name, value):
        layer = sparqsim.Layer.from_gemm(
            "one", np.full((20, 33), value, np.uint8), np.ones((33, 9), np.int8)
        )
        return sparqsim.simulate(
            sparqsim.Trace([layer]), name, sparqsim.ArrayConfig(4, 4)
        ).cycles.total

    for name in SHAPE_ONLY:
        assert total(name, 0) == total(name, 255)
    assert total("sparq-exact", 0) == total("sparq-5opt", 0) < total("sparq-exact", 255)


def test_a_design_not_compared_is_refused(comparison):
    with pytest.raises(sparqsim.InputError, match=r"did you mean sparq-5opt\?"):
        comparison.speedup("sparq-5op")


def test_a_missing_baseline_is_added(small_trace):
    assert sparqsim.compare(small_trace, ["sparq-5opt"]).order == ("mac-8b8b", "sparq-5opt")
    assert (
        sparqsim.compare(small_trace, ["sparq-5opt"], baseline="mac-4b4b").speedup("mac-4b4b")
        == 1.0
    )


def test_a_design_named_twice_is_refused(small_trace):
    with pytest.raises(sparqsim.InputError, match="named twice"):
        sparqsim.compare(small_trace, ["sparq-5opt", "sparq-5opt:rounding=nearest-even"])

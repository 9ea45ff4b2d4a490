"""Quantization cards: what they say, how it is known, and what is never guessed."""

import json
from pathlib import Path

import card_traces
import jsonschema
import numpy as np
import pytest

import sparqsim
from sparqsim.base.known import Fact, Facts, read
from sparqsim.pe import PEDesign, get_pe
from sparqsim.pe.mac import Mac4b8b
from sparqsim.pe.registry import at_defaults, designs
from sparqsim.pe.trimming import Trimming
from sparqsim.results.card import Card
from sparqsim.trace.drawn import synthetic_trace
from sparqsim.trace.stated import OWN
from sparqsim.trace.synthetic import Distribution, LayerShape

SCHEMAS = Path(sparqsim.__file__).parent / "results/schemas"
DIGITS = Path(__file__).parent.parent / "workloads/digits_resnet.safetensors"


def bits_by_hand(trace, operand):
    """Elements, bits, and both of the largest tensor: counted one by one."""
    elements = bits = most_elements = most_bits = 0
    for layer in trace.layers:
        codes = getattr(layer, operand)
        own = sum(1 for _ in codes.reshape(-1))
        width = getattr(
            layer.record, {"activations": "activation_bits"}.get(operand, "weight_bits")
        )
        elements, bits = elements + own, bits + own * width
        most_elements, most_bits = max(most_elements, own), max(most_bits, own * width)
    return elements, bits, most_elements, most_bits


def test_memory_is_what_the_tensors_hold():
    mixed = {"mid": {"activation_bits": 4, "weight_bits": 3}}
    trace = card_traces.trace(of_layer=mixed)
    card = sparqsim.card(trace).quantisation
    assert (card.weights.elements, card.weights.bits) == bits_by_hand(trace, "weights")[:2]
    maps = card.feature_maps
    found = maps.elements, maps.bits, maps.largest_elements, maps.largest_bits
    assert found == bits_by_hand(trace, "activations")
    assert maps.average_bytes == maps.bits / 8 / 3 / 2  # three layers, two inputs
    assert maps.largest_bytes == maps.largest_bits / 8 / 2


def test_the_shipped_trace_says_what_it_says():
    card = sparqsim.card(DIGITS).quantisation
    assert (card.first_last, card.kept_8bit) == ("both", ("conv1", "fc"))
    assert (card.weight_granularity, card.weight_symmetry) == ("per channel", "symmetric")
    assert (card.activation_symmetry, card.activation_observer) == ("unsigned", "mean-max")
    assert card.known["activation_observer"] == "read"
    assert card.known["feature_maps"] == "measured"


@pytest.mark.parametrize(
    "fact",
    [
        *("calibration_inputs", "calibration_labels", "calibration_sha256", "bias_correction"),
        *("residual", "stays_float", "seeds", "training", "weight_quantiser"),
    ],
)
def test_what_an_old_trace_does_not_say_is_unknown(fact):
    card = sparqsim.card(DIGITS).quantisation
    assert getattr(card, fact) is None
    assert card.known[fact] == "unknown"


@pytest.mark.parametrize(
    ("kept", "ends"),
    [
        (("in", "out"), "both"),
        (("in",), "first"),
        (("out",), "last"),
        ((), "none"),
        (("mid",), "none"),
        (("in", "mid"), "first"),
    ],
)
def test_which_ends_are_kept(kept, ends):
    card = sparqsim.card(card_traces.trace(kept=kept)).quantisation
    assert (card.first_last, card.kept_8bit) == (ends, kept)


def test_ends_of_8_bits_among_narrow_layers_are_kept_without_a_mark():
    narrow = {"mid": {"weight_bits": 4}}
    card = sparqsim.card(card_traces.trace(kept=(), of_layer=narrow)).quantisation
    assert (card.first_last, card.kept_8bit) == ("both", ("in", "out"))
    assert (card.weight_bit_set, card.activation_bit_set) == ((4, 8), (8,))
    assert card.layer_bits == {"mid": (8, 4)}


@pytest.mark.parametrize(
    ("scales", "granularity"),
    [((), None), ((0.5,) * 6, "per tensor"), ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), "per channel")],
)
def test_granularity_is_that_of_the_scales(scales, granularity):
    alike = {
        name: {"weight_scales": scales[: shape[2]]} for name, shape in card_traces.SHAPES.items()
    }
    card = sparqsim.card(card_traces.trace(of_layer=alike)).quantisation
    assert card.weight_granularity == granularity


def test_granularity_of_several_kinds_names_them_all():
    alike = {"mid": {"weight_scales": (0.5,) * 6}}
    card = sparqsim.card(card_traces.trace(of_layer=alike)).quantisation
    assert card.weight_granularity == "per channel and per tensor"


def test_one_output_channel_is_no_granularity_of_its_own():
    x, w = np.ones((2, 3), np.uint8), np.ones((3, 1), np.int8)
    one = sparqsim.Layer.from_gemm("one", x, w, weight_scales=(0.5,))
    assert sparqsim.card(sparqsim.Trace([one])).quantisation.weight_granularity == "per tensor"


def test_symmetries_of_several_kinds_name_them_all():
    moved = {"zero_point_corrected": True, "activation_zero_point": 3, "weight_zero_points": (1,)}
    trace = card_traces.trace(of_layer={"in": {"signed": True}, "mid": moved})
    card = sparqsim.card(trace).quantisation
    assert card.activation_symmetry == "asymmetric and symmetric and unsigned"
    assert card.weight_symmetry == "asymmetric and symmetric"


def test_what_a_trace_states_is_read():
    told = {"calibration_inputs": 64, "calibration_labels": "none", "bias_correction": "off"}
    card = sparqsim.card(card_traces.trace(provenance=card_traces.stating(**told))).quantisation
    assert {name: getattr(card, name) for name in told} == told
    assert {card.known[name] for name in told} == {"read"}


RECIPE = {
    "activations": "mse:4",
    "weights": "adaround:4",
    "bias_correction": True,
    "accumulator_bits": 16,
    "keep_8bit": "first-last",
    "calibration": {"pictures": 64, "labels": "float-network"},
    "layers": {"mid": {"weights": "nearest:4", "activations": None}},
}


def test_a_recipe_says_what_nothing_else_states():
    provenance = card_traces.recipe(**RECIPE, seed=3)
    trace = card_traces.trace(calibrator="", provenance=provenance)
    card = sparqsim.card(trace).quantisation
    assert (card.activation_observer, card.weight_quantiser) == ("mse:4", "adaround:4")
    assert (card.bias_correction, card.accumulator_bits, card.seeds) == ("on", 16, "3")
    assert (card.calibration_inputs, card.calibration_labels) == (64, "float-network")
    assert card.recipe_settings == {"layers.mid": '{"activations": null, "weights": "nearest:4"}'}


def test_what_is_stated_goes_before_what_the_recipe_asked_for():
    provenance = card_traces.recipe(**RECIPE) | {"card": {"calibration_inputs": 9}}
    card = sparqsim.card(card_traces.trace(provenance=provenance)).quantisation
    assert card.calibration_inputs == 9
    assert card.activation_observer == "mean-max"  # the trace's own word
    assert card.weight_quantiser == "adaround:4"


def test_a_recipe_says_nothing_of_codes_that_a_network_brings():
    provenance = card_traces.recipe(**RECIPE) | {"card": {"weight_quantiser": OWN}}
    card = sparqsim.card(card_traces.trace(provenance=provenance)).quantisation
    assert (card.weight_quantiser, card.accumulator_bits) == (OWN, 16)
    assert card.bias_correction is card.calibration_labels is card.calibration_inputs is None


def test_phases_that_ran_are_in_the_card():
    provenance = card_traces.recipe(**RECIPE) | {
        "weight_quantisers": {"lapq:4": {"phases": ["fit of p", "Powell"], "loss": 0.5}}
    }
    settings = sparqsim.card(card_traces.trace(provenance=provenance)).quantisation.recipe_settings
    assert settings["lapq:4.phases"] == '["fit of p", "Powell"]'
    assert settings["lapq:4.loss"] == "0.5"


@pytest.mark.parametrize(
    "recipe",
    [
        7,
        ["weights"],
        {"weights": 4, "activations": ["mse"], "bias_correction": "yes", "accumulator_bits": "x"},
        {"calibration": 3, "accumulator_bits": True},
        {"calibration": {"pictures": -1, "labels": {}}, "accumulator_bits": 0},
    ],
)
def test_a_recipe_of_other_kinds_is_unknown_not_guessed(recipe):
    provenance = {"recipe": recipe}
    card = sparqsim.card(card_traces.trace(calibrator="", provenance=provenance)).quantisation
    for fact in ("weight_quantiser", "activation_observer", "bias_correction", "accumulator_bits"):
        assert getattr(card, fact) is None
    assert card.calibration_inputs is None
    assert card.calibration_labels is None


def test_a_settings_text_of_a_recipe_has_a_bound():
    provenance = card_traces.recipe(phases=["x" * 5000], **{f"s{at}": at for at in range(500)})
    settings = sparqsim.card(card_traces.trace(provenance=provenance)).quantisation.recipe_settings
    assert len(settings) <= 64
    assert max(map(len, settings.values())) <= 400


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"calibration_inputs": 0}, "provenance.card: calibration_inputs"),
        ({"calibration_inputs": "64"}, "provenance.card: calibration_inputs"),
        ({"colour": "red"}, "provenance.card: colour"),
        ([], "provenance.card"),
    ],
)
def test_an_entry_that_is_no_card_is_refused_by_name(entry, words):
    with pytest.raises(sparqsim.InputError, match=words):
        card_traces.trace(provenance={"card": entry})


def test_drawn_values_are_assumed_and_nothing_is_drawn_for_a_card(monkeypatch):
    shapes = [LayerShape.gemm("one", 4, 8, 4), LayerShape.gemm("two", 4, 8, 4)]
    trace = synthetic_trace(shapes, Distribution(0.5, 0.0, 41), network="shapes")
    monkeypatch.setattr("sparqsim.trace.source.TensorSource.load", None)
    card = sparqsim.card(trace)
    assert card.quantisation.values.startswith("SYNTHETIC: ")
    assert card.quantisation.known["values"] == "assumed"
    assert card.numbers == {"operands": "assumed"}
    assert "41" in card.quantisation.seeds


def test_a_list_of_bits_is_named_and_never_its_trainer():
    from sparqsim.trace.bitlist import BitList, requantise

    trace = requantise(card_traces.trace(), {"mid": 4})
    card = sparqsim.card(trace)
    assert card.quantisation.training.startswith("bits by a list: ")
    assert card.quantisation.weight_bit_set == (4, 8)
    assert card.origin.network == "three layers"  # the transforms are a fact of their own
    assert card.quantisation.transforms == (f"requantise by {BitList.of({'mid': 4}).title}",)


# Reports, comparisons.


def test_a_report_carries_its_card_and_json_keeps_it():
    report = sparqsim.simulate(card_traces.trace(), "sparq-5opt", sparqsim.ArrayConfig(4, 4))
    written = json.loads(report.to_json())
    assert written["card"]["schema"] == "sparqsim.card/1"
    again = type(report).from_json(report.to_json())
    assert again == report
    assert again.card == report.card == sparqsim.card(report)
    assert report.card.hardware.array == "4x4"
    assert report.card.origin.trace_sha256 == report.provenance.trace_sha256
    assert report.card.numbers == dict.fromkeys(("cycles", "activity", "error"), "measured")


def test_cycles_of_drawn_values_are_measured_where_only_shapes_decide():
    shapes = [LayerShape.gemm("one", 4, 8, 4)]
    trace = synthetic_trace(shapes, Distribution(0.5, 0.0, 1), network="shapes")
    both = sparqsim.compare(trace, ["mac-8b8b", "sparq-exact"], sparqsim.ArrayConfig(4, 4))
    numbers = {name: report.card.numbers for name, report in both.reports.items()}
    assert numbers["mac-8b8b"]["cycles"] == "measured"
    assert numbers["sparq-exact"]["cycles"] == "assumed"
    assert numbers["mac-8b8b"]["error"] == "assumed"
    assert both.card.numbers["cycles"] == "assumed"  # the weakest


def test_a_run_without_kept_layers_keeps_none():
    trace = card_traces.trace()
    report = sparqsim.simulate(trace, "mac-4b8b", sparqsim.ArrayConfig(4, 4), keep_8bit=False)
    assert (report.card.quantisation.first_last, report.card.quantisation.kept_8bit) == ("none", ())
    assert report.card.hardware.kept == "as the others"


def test_a_comparison_has_the_card_of_all_its_designs():
    both = sparqsim.compare(
        card_traces.trace(), ["mac-8b8b", "sparq-3opt:rounding=trim"], sparqsim.ArrayConfig(4, 4)
    )
    card = both.card
    assert card.specs == both.order
    assert [each.rounding for each in card.designs] == ["none: exact", "trim"]
    assert card.quantisation == both.reports["mac-8b8b"].card.quantisation
    assert both.confounds == ()
    assert type(both).from_json(both.to_json()).card == card


def test_areas_and_clocks_name_their_sources():
    both = sparqsim.compare(
        DIGITS, ["mac-8b8b", "sparq-5opt"], iso="area", clock="own", acc_bits="least"
    )
    hardware = both.card.hardware
    assert hardware.area_source.startswith("our open-tool synthesis: ")
    assert hardware.clock.startswith("own; our open-tool timing")
    assert "least width" in hardware.accumulators
    assert both.card.numbers["equal_area"] == both.card.numbers["time"] == "read"


def test_energies_name_their_source():
    report = sparqsim.simulate(DIGITS, "sparq-5opt", energy="osu018")
    assert report.card.hardware.energy_source == report.energy.basis
    assert report.card.numbers["energy"] == "read"


def test_memories_of_one_name_are_told_apart():
    edge = sparqsim.load_accelerator("edge")
    memory = edge.memory
    other = type(memory)(**{**vars(memory), "psum_bits": memory.psum_bits // 2})
    cards = [
        sparqsim.simulate(card_traces.trace(), "mac-8b8b", memory=each).card
        for each in (memory, other)
    ]
    assert cards[0].hardware.memory.startswith("edge, settings ")
    assert cards[0].hardware.memory != cards[1].hardware.memory


# Files of before cards, and files that contradict themselves.


def without_cards(document):
    """A file as it was written before there were cards."""
    if isinstance(document, dict):
        return {
            name: without_cards(part)
            for name, part in document.items()
            if name not in {"card", "confounds"}
        }
    return document


def old(result):
    return type(result).from_json(json.dumps(without_cards(json.loads(result.to_json()))))


def test_a_report_without_a_card_reads_and_what_it_says_is_known():
    report = sparqsim.simulate(card_traces.trace(), "sparq-5opt", sparqsim.ArrayConfig(4, 4))
    before = old(report)
    assert before.stored_card is None
    assert "card" not in json.loads(before.to_json())
    card = before.card
    assert (card.quantisation.first_last, card.quantisation.kept_8bit) == ("both", ("in", "out"))
    assert card.quantisation.activation_observer == "mean-max"
    assert card.quantisation.weight_granularity is None
    assert card.designs[0].rounding is None
    assert card.hardware == report.card.hardware
    assert card.origin == report.card.origin


def test_a_comparison_without_cards_reads():
    both = sparqsim.compare(card_traces.trace(), ["sparq-5opt"], array=sparqsim.ArrayConfig(4, 4))
    before = old(both)
    assert before.card.specs == both.card.specs
    assert before.confounds == ()


CONTRADICTIONS = {
    "another array": (("card", "hardware", "array"), "8x8", "card.hardware: array"),
    "another trace": (("card", "origin", "trace_sha256"), "0" * 64, "card.origin: trace_sha256"),
    "another design": (
        ("card", "designs", 0, "design"),
        "mac-8b8b",
        "card: of='report', designs mac-8b8b",
    ),
    "of something else": (("card", "of"), "trace", "card: of='trace'"),
    "fewer kept": (("card", "quantisation", "kept_8bit"), ["in"], "kept_8bit"),
    "other ends": (("card", "quantisation", "first_last"), "first", "first_last"),
    "other bits": (("card", "quantisation", "layer_bits"), {"mid": [4, 4]}, "layer_bits"),
    "known, not there": (("card", "quantisation", "known", "seeds"), "read", "known.seeds"),
    "there, not known": (("card", "quantisation", "seeds"), "7", "known.seeds"),
    "a strange number": (("card", "numbers", "cycles"), "assumed", "card.numbers: cycles"),
    "another average": (
        ("card", "quantisation", "weights", "average_bits"),
        4.0,
        "card.quantisation.weights.average_bits",
    ),
    "impossible bits": (("card", "quantisation", "weights", "bits"), 3, "bits=3"),
    "no schema": (("card", "schema"), "sparqsim.card/9", "card.schema"),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_card_that_contradicts_its_report_is_refused(name):
    report = sparqsim.simulate(card_traces.trace(), "sparq-5opt", sparqsim.ArrayConfig(4, 4))
    place, value, words = CONTRADICTIONS[name]
    document = json.loads(report.to_json())
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    with pytest.raises(sparqsim.InputError) as refused:
        type(report).from_json(json.dumps(document), "r.json")
    assert str(refused.value).startswith("r.json: ")
    assert words in str(refused.value)


def test_a_copy_with_other_fields_has_their_card():
    report = sparqsim.simulate(card_traces.trace(), "sparq-5opt", sparqsim.ArrayConfig(4, 4))
    array = report.array.model_copy(update={"rows": 8})
    changed = report.model_copy(update={"array": array})
    assert changed.card.hardware.array == "8x4"
    assert changed.card.designs == report.card.designs
    assert report.card.hardware.array == "4x4"
    assert report.model_copy() == report
    again = changed.model_copy(update={"array": report.array})
    assert again == report
    assert type(report).from_json(again.to_json()) == report


def test_cards_have_a_schema_and_keep_to_it():
    schema = json.loads((SCHEMAS / "card.schema.json").read_text())
    trace = card_traces.trace()
    report = sparqsim.simulate(trace, "swis", sparqsim.ArrayConfig(4, 4))
    for card in (sparqsim.card(trace), report.card):
        document = json.loads(card.to_json())
        jsonschema.validate(document, schema)
        assert Card.from_json(card.to_json()) == card


# What designs say.


@pytest.mark.parametrize(
    ("name", "value_bits"), [("stc-sparq-5opt", 2 * 8 / 4), ("mac-w4a8", 4.0), ("olive-4b", 4.0)]
)
def test_metadata_of_weights_is_what_is_stored_beside_their_values(name, value_bits):
    pe = get_pe(name)
    assert pe.weight_bits == value_bits + pe.trimming.weight_metadata_bits


def test_every_shipped_design_says_what_it_makes_of_operands():
    for name, design in designs().items():
        trims = at_defaults(design).trimming
        assert trims.rounding, name
        assert trims.rule, name


@pytest.mark.parametrize(
    "name", ["sparq-5opt", "sparq-3opt", "sparq-2opt", "sparq-6opt", "sparq-7opt"]
)
def test_metadata_of_sparq_is_what_memory_stores_beside_the_windows(name):
    pe = get_pe(name)
    stored_bits = pe.activation_pair_bits("windowed-pair")
    assert 2 * pe.trimming.activation_metadata_bits == stored_bits - 2 * pe.windows_of_pair.bits


class Halved(Mac4b8b):
    """A design that drops bits and does not say how."""

    name = "halved"
    trimming = PEDesign.trimming


def test_a_design_of_ones_own_that_says_nothing_is_unknown():
    report = sparqsim.simulate(card_traces.trace(), Halved(), sparqsim.ArrayConfig(4, 4))
    own = report.card.designs[0]
    assert (own.design, own.rounding, own.rule) == ("halved", None, None)
    assert own.known["activation_metadata_bits"] == "unknown"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rounding": 3}, "rounding=3"),
        ({"activation_metadata_bits": -1}, "activation_metadata_bits=-1"),
        ({"weight_metadata_bits": float("nan")}, "weight_metadata_bits=nan"),
        ({"weight_metadata_bits": True}, "weight_metadata_bits=True"),
    ],
)
def test_a_design_that_says_nonsense_is_refused(fields, words):
    with pytest.raises(sparqsim.InputError, match=words):
        Trimming(**fields)


def test_facts_without_a_value_are_unknown():
    class Two(Facts):
        one: int | None = None
        two: int | None = None

    facts = Two.of(one=read(3))
    assert facts.fact("one") == Fact(3, "read")
    assert facts.fact("two") == Fact(None, "unknown")
    assert facts.with_facts(two=read(4)).two == 4
    with pytest.raises(ValueError, match="known"):
        Two(one=1, known={"one": "read"})
    with pytest.raises(ValueError, match=r"known\.one"):
        Two(one=1, known={"one": "unknown", "two": "unknown"})

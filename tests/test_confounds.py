"""Confounds: what results differ in beside the design, found one by one, and said where they meet."""

import json

import card_traces
import pytest
from test_card import old

import sparqsim
from sparqsim.results.card import Card
from sparqsim.results.confounds import card_diff, confound_notes, trace_axis
from sparqsim.trace.drawn import synthetic_trace
from sparqsim.trace.synthetic import Distribution, LayerShape
from sparqsim.trace.transforms import transform

ARRAY = sparqsim.ArrayConfig(4, 4)
ALIKE = (0.5,) * 6
FLAT_SCALES = {
    name: {"weight_scales": ALIKE[: shape[2]]} for name, shape in card_traces.SHAPES.items()
}
POINTS = {"zero_point_corrected": True, "weight_zero_points": (1,)}
SHIFTED = {"zero_point_corrected": True, "activation_zero_point": 2}


def told(**facts):
    return card_traces.trace(provenance=card_traces.stating(**facts))


def reckoned(**facts):
    return card_traces.trace(provenance=card_traces.recipe(**facts))


def covering(inputs, left_out=()):
    left = [{"name": name, "reason": "none", "macs": 1} for name in left_out]
    return card_traces.trace(provenance={"coverage": {"inputs": inputs, "left_out": left}})


def folding(norms):
    provenance = {"coverage": {"inputs": 2, "left_out": []}, "folded_batch_norms": norms}
    return card_traces.trace(provenance=provenance)


#: Two traces that differ in one thing, by the fact that must be named.
OF_TRACES = {
    "first_last": lambda: (card_traces.trace(), card_traces.trace(kept=())),
    "kept_8bit": lambda: (card_traces.trace(kept=()), card_traces.trace(kept=("mid",))),
    "weight_granularity": lambda: (
        card_traces.trace(),
        card_traces.trace(of_layer=FLAT_SCALES),
    ),
    "weight_symmetry": lambda: (card_traces.trace(), card_traces.trace(every=POINTS)),
    "activation_symmetry": lambda: (card_traces.trace(), card_traces.trace(every=SHIFTED)),
    "weight_bit_set": lambda: (
        card_traces.trace(of_layer={"mid": {"weight_bits": 4}}),
        card_traces.trace(of_layer={"mid": {"weight_bits": 3}}),
    ),
    "activation_bit_set": lambda: (
        card_traces.trace(of_layer={"mid": {"activation_bits": 4}}),
        card_traces.trace(of_layer={"mid": {"activation_bits": 6}}),
    ),
    "layer_bits": lambda: (
        card_traces.trace(kept=card_traces.SHAPES, of_layer={"mid": {"weight_bits": 4}}),
        card_traces.trace(kept=card_traces.SHAPES, of_layer={"in": {"weight_bits": 4}}),
    ),
    "activation_observer": lambda: (
        card_traces.trace(calibrator="max"),
        card_traces.trace(calibrator="mse:4"),
    ),
    "weight_quantiser": lambda: (reckoned(weights="nearest:8"), reckoned(weights="adaround:8")),
    "calibration_inputs": lambda: (told(calibration_inputs=8), told(calibration_inputs=64)),
    "calibration_labels": lambda: (
        told(calibration_labels="none"),
        told(calibration_labels="true"),
    ),
    "calibration_sha256": lambda: (
        told(calibration_inputs=8, calibration_sha256="a"),
        told(calibration_inputs=8, calibration_sha256="b"),
    ),
    "bias_correction": lambda: (reckoned(bias_correction=True), reckoned(bias_correction=False)),
    "residual": lambda: (told(residual="all tensors"), told(residual="inputs of products")),
    "stays_float": lambda: (told(stays_float="nothing"), told(stays_float="softmax")),
    "seeds": lambda: (reckoned(seed=1), reckoned(seed=2)),
    "training": lambda: (told(training="none"), told(training="bits by a list: bsq")),
    "accumulator_bits": lambda: (reckoned(accumulator_bits=16), reckoned(accumulator_bits=32)),
    "recipe_settings": lambda: (
        reckoned(layers={"mid": {"weights": "lp:2"}}),
        reckoned(layers={"mid": {"weights": "lp:3"}}),
    ),
    "folded_batch_norms": lambda: (folding({}), folding({"a": "b"})),
    "traced_inputs": lambda: (covering(2), covering(3)),
    "left_out": lambda: (covering(2), covering(2, ["softmax"])),
    "transforms": lambda: (
        card_traces.trace(),
        transform(card_traces.trace(), ["prune-2of4"]),
    ),
    "values": lambda: (
        card_traces.trace(),
        card_traces.trace(synthetic="drawn by hand"),
    ),
    "network": lambda: (card_traces.trace(network="one"), card_traces.trace(network="other")),
    "trace_sha256": lambda: (card_traces.trace(seed=0), card_traces.trace(seed=1)),
}
#: What follows from a change that cannot be made alone.
BESIDE = {"recipe_settings": set(), "accumulator_bits": {"accumulators"}}


def named(diff):
    return {each.fact for each in diff.confounds}


@pytest.mark.parametrize("fact", OF_TRACES)
def test_a_difference_between_traces_is_named_alone(fact):
    cards = [sparqsim.card(trace) for trace in OF_TRACES[fact]()]
    diff = card_diff(cards)
    assert named(diff) == {fact}
    assert diff.not_known == ()
    assert named(card_diff(cards[::-1])) == {fact}
    assert named(card_diff([cards[0], cards[0]])) == set()


@pytest.mark.parametrize("fact", OF_TRACES)
def test_reports_of_two_designs_name_it_too(fact):
    one, other = OF_TRACES[fact]()
    reports = [
        sparqsim.simulate(one, "mac-8b8b", ARRAY),
        sparqsim.simulate(other, "mac-4b8b", ARRAY),
    ]
    diff = card_diff([report.card for report in reports])
    assert fact in named(diff)
    assert named(diff) - {fact} <= BESIDE.get(fact, set()) | {"kept"}
    assert diff.designs == ("mac-8b8b", "mac-4b8b")


def test_every_fact_of_the_quantisation_side_can_be_a_confound():
    # Two follow from others, and one is what the format holds.
    never = {"weights", "feature_maps", "activation_granularity"}
    assert set(sparqsim.card(card_traces.trace()).quantisation.names()) - never <= set(OF_TRACES)


def run(pe="mac-8b8b", array=ARRAY, trace=None, **settings):
    return sparqsim.simulate(trace or card_traces.trace(), pe, array, **settings)


#: Two runs of one trace that differ in one setting, by the fact that must be named.
OF_RUNS = {
    "first_last": lambda: (run(), run("mac-4b8b", keep_8bit=False)),
    "kept": lambda: (run(), run("mac-4b8b", kept="ideal")),
    "array": lambda: (run(), run("mac-4b8b", sparqsim.ArrayConfig(4, 8))),
    "dataflow": lambda: (run(), run("mac-4b8b", sparqsim.ArrayConfig(4, 4, dataflow="ws"))),
    "coupling": lambda: (run(), run("mac-4b8b", coupling="broadcast")),
    "overlap": lambda: (run(), run("mac-4b8b", overlap=True)),
    "memory": lambda: (run(), run("mac-4b8b", memory=sparqsim.load_accelerator("edge").memory)),
}


@pytest.mark.parametrize("fact", OF_RUNS)
def test_a_difference_between_runs_is_named_alone(fact):
    cards = [report.card for report in OF_RUNS[fact]()]
    assert named(card_diff(cards)) == {fact}


def test_sources_of_energy_area_and_time_are_confounds(digits):
    plain = sparqsim.simulate(digits, "mac-8b8b").card
    energy = sparqsim.simulate(digits, "sparq-5opt", energy="osu018").card
    assert named(card_diff([plain, energy])) == {"energy_source"}
    pes = ["mac-8b8b", "sparq-5opt"]
    cards = [
        sparqsim.compare(digits, pes, **settings).card
        for settings in (
            {},
            {"iso": "area"},
            {"iso": "area", "acc_bits": "least"},
            {"clock": "own"},
        )
    ]
    assert named(card_diff(cards[:2])) == {"area_source", "accumulators"}
    assert named(card_diff(cards[1:3])) == {"area_source", "accumulators"}
    assert named(card_diff([cards[0], cards[3]])) == {"clock"}


def test_two_runs_that_differ_only_in_first_and_last_are_flagged():
    """The one that hides best: same network, same calibrator, same array, same design."""
    one, other = card_traces.trace(), card_traces.trace(kept=())
    cards = [sparqsim.simulate(trace, "sparq-5opt", ARRAY).card for trace in (one, other)]
    assert named(card_diff(cards)) == {"first_last"}
    assert confound_notes(cards) == [
        "Confounds, beside the design these differ in: first and last layer at 8 bits (both / none)."
    ]


def test_how_layers_are_kept_matters_only_where_some_are():
    unmarked = card_traces.trace(kept=())
    ways = ({}, {"kept": "ideal"}, {"keep_8bit": False})
    cards = [run(trace=unmarked, **way).card for way in ways]
    assert card_diff(cards).confounds == ()


def test_designs_alone_are_no_confound():
    both = sparqsim.compare(card_traces.trace(), ["swis", "sparq-7opt", "sparq-5opt"], ARRAY)
    assert both.confounds == ()
    assert confound_notes(both.cards) == []
    diff = card_diff(both.cards)
    assert diff.designs == both.order


def test_versions_are_confounds():
    report = run()
    document = json.loads(report.to_json())
    document["provenance"]["version"] = document["card"]["origin"]["revision"] = "0.0.1"
    before = type(report).from_json(json.dumps(document))
    assert named(card_diff([report.card, before.card])) == {"revision"}


def test_one_design_that_works_otherwise_is_a_confound():
    report = run("sparq-5opt")
    document = json.loads(report.to_json())
    document["card"]["designs"][0]["rounding"] = "up"
    other = type(report).from_json(json.dumps(document))
    assert named(card_diff([report.card, other.card])) == {"rounding of sparq-5opt"}


def test_what_one_card_does_not_say_may_differ_and_is_no_confound():
    report = run("sparq-5opt")
    diff = card_diff([report.card, old(report).card])
    assert diff.confounds == ()
    unsure = {each.fact for each in diff.not_known}
    assert {"weight_granularity", "feature_maps", "rounding of sparq-5opt"} <= unsure
    assert "seeds" not in unsure  # neither says it
    (note,) = confound_notes([report.card, old(report).card])
    assert note.startswith("Not known of all of these, so they may differ in: ")


def test_unknown_on_one_side_hides_no_difference_between_the_others():
    cards = [sparqsim.card(trace) for trace in OF_TRACES["seeds"]()]
    unsaid = sparqsim.card(card_traces.trace())
    assert named(card_diff([cards[0], unsaid, cards[1]])) == {"seeds"}


def test_long_values_are_cut_and_still_told_apart():
    ends = "x" * 3000
    cards = [sparqsim.card(told(training=ends + end)) for end in ("one", "two")]
    (difference,) = card_diff(cards).confounds
    assert max(map(len, difference.values)) < 200
    assert len(set(difference.values)) == 2


def test_entries_of_layers_are_named_where_they_differ():
    cards = [sparqsim.card(trace) for trace in OF_TRACES["layer_bits"]()]
    (difference,) = card_diff(cards).confounds
    assert difference.values == ("mid 8, 4", "in 8, 4")


def test_an_axis_over_traces_may_change_what_a_trace_is_but_not_how_it_was_quantised():
    shapes = [LayerShape.gemm("one", 4, 8, 4)]
    drawn = [
        sparqsim.card(synthetic_trace(shapes, Distribution(zeros, 0.0, 1), network=f"{zeros}"))
        for zeros in (0.25, 0.5)
    ]
    assert named(card_diff(drawn, free=trace_axis(drawn))) == set()
    one, other = (
        sparqsim.card(card_traces.trace(network="one")),
        sparqsim.card(card_traces.trace(network="other", kept=(), calibrator="max")),
    )
    found = named(card_diff([one, other], free=trace_axis([one, other])))
    assert found == {"first_last", "activation_observer"}
    assert "values" not in trace_axis([one, drawn[0]])


def test_json_of_a_diff_says_all_of_it():
    cards = [report.card for report in OF_RUNS["dataflow"]()]
    diff = card_diff(cards, names=["a.json", "b.json"])
    document = json.loads(diff.to_json())
    assert document["schema"] == "sparqsim.card_diff/1"
    assert document["confounds"] == [
        {"fact": "dataflow", "side": "hardware", "values": ["os", "ws"]}
    ]
    assert type(diff).from_json(diff.to_json()) == diff


def test_cards_of_hostile_texts_compare():
    hostile = card_traces.trace(
        network="a\x1b[2J", provenance=card_traces.recipe(**{"\x1b]0;x\x07": "\u202e" * 9})
    )
    cards = [sparqsim.card(hostile), sparqsim.card(card_traces.trace())]
    text = " ".join(confound_notes(cards))
    assert text.isprintable()
    assert isinstance(cards[0], Card)

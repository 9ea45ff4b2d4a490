"""The pages of docs/recipes hold the tables of their records, and the records what must be so."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from pathlib import Path

import pytest
from page_tables import TABLE

FOLDER = Path(__file__).parent.parent / "docs" / "recipes"
NETWORKS = sorted(path.stem for path in FOLDER.glob("*.json"))
#: Recipes whose layers, but for the kept ones, have weights of four bits.
FOUR_BITS = ("a4w4", "a4w4-all", "adaround", "lapq", "multipoint")
#: Networks with products of two activations, whose second operand no bits of weights reach.
ATTENTION = ("vit",)
EXACT = ("mac-8b8b", "sparq-exact", "loom", "serial-w")
ANSWERS = ("top1", "agree", "logits_sqnr_db", "layers_sqnr_db")


@pytest.fixture(scope="module")
def tables():
    import recipe_tables

    return recipe_tables


@pytest.fixture(scope="module", params=NETWORKS)
def record(request, tables):
    return tables.loaded(request.param)


def answers(row):
    return [row[name] for name in ANSWERS]


def test_pages_show_every_table_of_every_record(tables):
    pages = [page.read_text(encoding="utf-8") for page in tables.pages()]
    shown = {match[2] for page in pages for match in TABLE.finditer(page)}
    assert shown == {f"{kind}_{name}" for kind in tables.TABLES for name in NETWORKS}


def test_what_is_drawn_for_claims_is_among_the_seeds(tables, record):
    """A record with points at random does not say that nothing was drawn."""
    (seeds,) = [line for line in tables.about_table(record) if line.startswith("* seeds:")]
    assert seeds.endswith("nothing is drawn") == (
        "random" not in json.dumps(record.get("claims", {}))
    )


def test_every_recipe_has_its_designs_once(record):
    for recipe in record["recipes"]:
        designs = [row["pe"] for row in record["rows"] if row["recipe"] == recipe]
        assert len(designs) == len(set(designs)) == (2 if recipe == "olive" else 9)


def test_all_recipes_had_the_same_calibration_pictures_or_the_first_of_them(record):
    by_count = {}
    for made in record["recipes"].values():
        by_count.setdefault(made["calibration_pictures"], set()).add(made["calibration_sha256"])
    assert max(by_count) == record["calibration"]["pictures"]
    assert all(len(found) == 1 for found in by_count.values())
    assert len({made["float_top1"] for made in record["recipes"].values()}) == 1


def test_exact_designs_answer_alike(tables, record):
    for recipe in record["recipes"]:
        if recipe == "olive":
            continue
        first = answers(tables.row_of(record, recipe, EXACT[0]))
        assert first[-1] is None, "nothing is lost beside the recipe's own codes"
        for pe in EXACT[1:]:
            assert answers(tables.row_of(record, recipe, pe)) == first


@pytest.mark.parametrize("network", NETWORKS)
def test_weights_of_four_bits_are_the_same_to_designs_that_take_four_or_eight(tables, network):
    """Keys and values of attention have 8 bits, of which the design of four makes four."""
    record = tables.loaded(network)
    for recipe in FOUR_BITS:
        if recipe in record["recipes"]:
            four, eight = (tables.row_of(record, recipe, f"mac-4b{bits}b") for bits in (4, 8))
            assert (answers(four) == answers(eight)) == (network not in ATTENTION)


def test_lower_bits_of_activations_lose_more(tables, record):
    """Medians over layers, of one recipe: SPARQ's five windows, three, two, and a static nibble."""
    order = ("sparq-5opt", "sparq-3opt", "sparq-2opt", "mac-4b8b")
    for recipe in record["recipes"]:
        if recipe != "olive":
            levels = [tables.row_of(record, recipe, pe)["layers_sqnr_db"][0] for pe in order]
            assert levels[0] >= levels[1] >= levels[2]
            assert levels[0] >= levels[3]


def test_cycles_follow_shapes_and_bits_alone(tables, record):
    """Where weights are rounded does not change them; more columns take no fewer."""
    for pe in ("mac-8b8b", "mac-4b8b", "mac-4b4b", "sparq-5opt"):
        whole = tables.row_of(record, "a8w8", pe)["cycles"]
        for recipe in ("a4w8", "a4w4", "adaround", "lapq"):
            if recipe in record["recipes"]:
                assert tables.row_of(record, recipe, pe)["cycles"] == whole
        if "multipoint" in record["recipes"]:
            row = tables.row_of(record, "multipoint", pe)
            assert row["combined_cycles"] >= row["cycles"] >= whole
    for pe in ("loom", "serial-w"):
        few, many = (tables.row_of(record, name, pe)["cycles"] for name in ("a4w4", "a8w8"))
        assert few < many


def test_what_is_absent_has_its_reason(record):
    for row in record["rows"]:
        lacking = {
            "area": row["pe_area"] is None,
            "energy": row["energy_uj"] is None,
        }
        assert set(row["absent"]) == {name for name, is_so in lacking.items() if is_so}
        assert all(row["absent"].values())


def made_row(pe, top1, cycles, energy_uj, area):
    return {
        "recipe": "a8w8",
        "pe": pe,
        "top1": top1,
        "cycles": cycles,
        "energy_uj": energy_uj,
        "pe_area": area and [area] * 3,
        "logits_sqnr_db": 20.0,
    }


def test_the_first_sentences_count_the_rows_that_have_an_energy_and_an_area(tables):
    """Of five rows four are near the float network: two with an energy, three with an area."""
    record = {
        "answered_pictures": 100,
        "recipes": {"a8w8": {"float_top1": 90}},
        "rows": [
            made_row("mac-8b8b", 90, 80, 10.0, 1.0),
            made_row("sparq-5opt", 89, 40, 6.0, 1.25),
            made_row("sparq-exact", 91, 20, None, 2.0),
            made_row("serial-w", 90, 10, None, None),
            made_row("mac-4b4b", 88, 10, 1.0, 1.0),
        ],
    }
    assert tables.said(record) == [
        (
            "4 rows are right on at most 1% of the pictures fewer than the float network. 2 of them "
            "have an energy: `a8w8` on `sparq-5opt` (89/100 right) takes the least, 0.60 of "
            "`mac-8b8b` at 8 bits. 3 have an area: `a8w8` on `sparq-exact` (91/100 right) has the most "
            "throughput per area, 2.00 times that of `mac-8b8b` at 8 bits."
        )
    ]


def test_ratios_are_over_the_first_recipe_on_the_exact_array(tables, record):
    reference = tables.reference_of(record)
    assert (reference["recipe"], reference["pe"]) == ("a8w8", "mac-8b8b")
    assert tables.speedup(record, reference) == 1
    for row in record["rows"]:
        if row["pe_area"]:
            least, middle, greatest = tables.per_area(record, row)
            assert least <= middle <= greatest
            assert middle * row["pe_area"][1] == pytest.approx(tables.speedup(record, row))


@pytest.fixture(scope="module")
def measuring():
    pytest.importorskip("torch", reason="extra 'torch' is not installed")
    import measure_recipes

    return measure_recipes


@pytest.fixture(scope="module")
def subjects(measuring):
    import recipe_subjects

    return recipe_subjects


def pictures_of(batches):
    return [picture.numpy().tobytes() for images, _ in batches for picture in images]


@pytest.mark.parametrize(
    "network",
    ["resnet20", pytest.param("resnet18", marks=pytest.mark.slow)],
)
def test_no_picture_both_calibrates_and_is_answered(measuring, network):
    from networks import shared

    if not shared.ROOT.is_dir():
        pytest.skip(shared.NO_SHARED)
    subject = measuring.SUBJECTS[network]()
    answered, calibration = (pictures_of(it) for it in (subject.answered, subject.calibration))
    assert not set(answered) & set(calibration)
    about = measuring.about(subject)
    assert (len(answered), len(calibration)) == (
        about["answered_pictures"],
        about["calibration"]["pictures"],
    )


@pytest.mark.parametrize("network", ["digits", "vit"])
def test_digits_calibrate_on_the_training_split(tables, subjects, monkeypatch, network):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    import digits_network
    import digits_vit

    monkeypatch.setattr(digits_network, "train", lambda *_, **__: digits_network.Network())
    monkeypatch.setattr(digits_vit, "train_vit", lambda *_: digits_vit.DigitsVit())
    subject = subjects.SUBJECTS[network]()
    answered, calibration = (pictures_of(it) for it in (subject.answered, subject.calibration))
    assert not set(answered) & set(calibration)
    assert (len(answered), len(calibration)) == (899, 512)
    assert tables.loaded(network)["answered_pictures"] == len(answered)


def test_a_run_goes_on_where_it_was_stopped(measuring, subjects, monkeypatch, tmp_path):
    """Rows that are there stay as they are; a record of other pictures is begun anew."""
    made = []
    monkeypatch.setattr(measuring, "CLAIMS", {})

    class Point:
        def __init__(self, subject, recipe):
            made.append(recipe.title)

        def about(self, recipe):
            return {"title": recipe.title}

        def row(self, name, designs):
            if len(made) == 2 and name == "mac-4b4b":
                raise KeyboardInterrupt
            return {"top1": len(made)}

        def energies(self):
            return {}

    monkeypatch.setattr(measuring, "Point", Point)
    monkeypatch.setattr(measuring, "FOLDER", tmp_path)
    left_out = tuple(name for name in subjects.RECIPES if name not in ("a8w8", "a4w4"))
    subject = measuring.Subject("n", "d", None, [], [], 1, "first", left_out=left_out)
    with pytest.raises(KeyboardInterrupt):
        measuring.measure("net", subject)
    assert len(rows_in(measuring, tmp_path)) == 9 + 2
    made[:] = ["again"] * 2
    measuring.measure("net", subject)
    found = rows_in(measuring, tmp_path)
    assert len(found) == 18
    assert [row["top1"] for row in found] == [1] * 9 + [2] * 2 + [3] * 7
    later = measuring.Subject("n", "d", None, [], [], 1, "first", left_out=left_out[1:])
    measuring.measure("net", later)
    recipes = measuring.json.loads((tmp_path / "net.json").read_text(encoding="utf-8"))["recipes"]
    assert list(recipes) == [name for name in subjects.RECIPES if name not in left_out[1:]]
    others = ({"data": "other data"}, {"weights_sha256": "1f"}, {"weights_sha256": "2e"})
    for other in others:
        made[:] = []
        with pytest.raises(KeyboardInterrupt):
            measuring.measure("net", dataclasses.replace(subject, **other))
        assert len(rows_in(measuring, tmp_path)) == 9 + 2


def test_weights_are_told_apart_by_every_bit(measuring, subjects):
    def digest(value):
        network = measuring.torch.nn.BatchNorm1d(2)
        network.running_var[1] = value
        return subjects.sha256_of(network)

    assert digest(1.0) == digest(1.0) != digest(1.0 + 2**-23)
    plain = measuring.torch.nn.Linear(1, 2, bias=False)
    plain.weight.data[:] = measuring.torch.tensor([[1.0], [2.0]])
    bytes_by_hand = b"\x00\x00\x80\x3f\x00\x00\x00\x40"
    assert subjects.sha256_of(plain) == hashlib.sha256(bytes_by_hand).hexdigest()


def rows_in(measuring, folder):
    return record_in(measuring, folder)["rows"]


def record_in(measuring, folder):
    return measuring.json.loads((folder / "net.json").read_text(encoding="utf-8"))


def test_a_claim_is_measured_once_and_added_to_a_record_without_it(
    measuring, subjects, monkeypatch, tmp_path
):
    asked = []

    class Point:
        case = "the case"

        def __init__(self, subject, recipe):
            self.about = self.row = lambda *_: {"title": recipe.title}
            self.energies = dict

    def claim(case):
        asked.append(case)
        return {"found": len(asked)}

    monkeypatch.setattr(measuring, "Point", Point)
    monkeypatch.setattr(measuring, "FOLDER", tmp_path)
    left_out = tuple(name for name in subjects.RECIPES if name not in ("a8w8", "a4w4"))
    subject = measuring.Subject("n", "d", None, [], [], 1, "first", left_out=left_out)
    monkeypatch.setattr(measuring, "CLAIMS", {})
    measuring.measure("net", subject)
    assert record_in(measuring, tmp_path)["claims"] == {}
    monkeypatch.setattr(measuring, "CLAIMS", {"a4w4": claim, "lapq": claim})
    for _ in range(2):
        measuring.measure("net", subject)
        assert record_in(measuring, tmp_path)["claims"] == {"a4w4": {"found": 1}}
    assert asked == ["the case"]
    assert len(rows_in(measuring, tmp_path)) == 18


def test_level_of_logits_by_hand(measuring):
    meant = measuring.torch.tensor([[3.0, 4.0]])
    found = measuring.sqnr_db(meant, measuring.torch.tensor([[3.0, 4.5]]))
    assert found == pytest.approx(10 * math.log10(25 / 0.25))
    assert measuring.sqnr_db(meant, meant) is None


def test_designs_find_their_scales_on_the_calibration_pictures(measuring, monkeypatch):
    """`olive-4b` does: `evaluate` would take those that are answered."""
    given = []

    def evaluate(*_, calibration_loader, **__):
        given.append(calibration_loader)
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "evaluate", evaluate)
    monkeypatch.setattr(measuring, "QuantisedNetwork", lambda *_, **__: None)
    monkeypatch.setattr(measuring, "answers", lambda *_: None)
    subject = measuring.Subject("n", "d", None, ["answered"], ["calibration"], 1, "first")
    point = measuring.Point(subject, None)
    with pytest.raises(KeyboardInterrupt):
        point._answered("olive-4b")
    assert given == [["calibration"]]

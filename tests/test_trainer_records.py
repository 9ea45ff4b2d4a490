"""The page of trainers holds the tables of its record, and the record what the page says."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def tables():
    import trainer_tables

    return trainer_tables


@pytest.fixture(scope="module")
def record(tables):
    return tables.loaded()


@pytest.fixture(scope="module")
def seeds(record):
    """Rows by setting, for each seed that bits were rounded with."""
    found = {}
    for key, row in record["rows"].items():
        setting, _, seed = key.partition(" seed ")
        found.setdefault(int(seed), {})[setting] = row
    return {seed: rows for seed, rows in found.items() if "rounded:8" in rows}


def test_rows_are_of_settings_and_seeds_that_are_known(tables, record):
    names = {tables.row_key(setting, seed) for setting in tables.SETTINGS for seed in tables.SEEDS}
    assert set(record["rows"]) <= names


def test_lists_of_bsq_have_fewer_bits_than_rounding_at_equal_accuracy(record, seeds):
    """Within one picture per hundred, and by bits counted from the record anew."""
    sizes = record["weights"]

    def bits(row):
        each = row["magnitude_bits"]
        return sum(sizes[name] * (each[name] + 1) for name in sizes) / sum(sizes.values())

    compared = 0
    for rows in seeds.values():
        found = rows.get("bsq:0.5")
        for setting, uniform in rows.items():
            if found is None or not setting.startswith("rounded"):
                continue
            if uniform["right"] >= found["right"] - 8.99:
                compared += 1
                assert bits(found) < bits(uniform), setting
    assert compared >= 2


def test_cycles_are_what_bits_make_of_them(seeds):
    """From 8 bits to 2 a layer saves 6 times what a bit costs it: so to the cycle at any bits."""
    for rows in seeds.values():
        eight, two = rows["rounded:8"]["cycles_of_layers"], rows["rounded:2"]["cycles_of_layers"]
        for setting, row in rows.items():
            for pe in ("serial-w", "loom"):
                for at, magnitude_bits in enumerate(row["magnitude_bits"].values()):
                    saved = eight[pe][at] - row["cycles_of_layers"][pe][at]
                    whole = eight[pe][at] - two[pe][at]
                    assert 6 * saved == (7 - magnitude_bits) * whole, (setting, at)
                assert row["cycles"][pe] == sum(row["cycles_of_layers"][pe])
            assert row["cycles"]["mac-8b8b"] == rows["rounded:8"]["cycles"]["mac-8b8b"]


def test_bit_slice_l1_lowers_what_converters_need(tables, seeds):
    compared = 0
    for rows in seeds.values():
        if tables.SLICES_BEFORE not in rows or "slices:4" not in rows:
            continue
        compared += 1
        before, after = (rows[each]["crossbars"] for each in (tables.SLICES_BEFORE, "slices:4"))
        pairs = list(zip(after["adc_bits"], before["adc_bits"], strict=True))
        assert all(one <= other for one, other in pairs)
        assert sum(after["adc_bits"]) < sum(before["adc_bits"])
        assert sum(after["mean_adc_bits"]) < sum(before["mean_adc_bits"])
        for crossbars in (before, after):
            assert crossbars["adc_bits"] == [
                next(bits for bits in range(10) if 2**bits >= worst + 1)
                for worst in crossbars["worst"]
            ]
    assert compared


def test_cards_say_which_trainer_ran(record):
    for key, row in record["rows"].items():
        told = row["card"]["training"]
        assert told.startswith("bits by a list: ") == key.startswith(("bsq", "dropbits"))
        assert row["card"]["seeds"].startswith(key.rpartition(" ")[2])
        if key.startswith("dropbits"):
            assert "a reconstruction" in told
        assert row["card"]["calibration_inputs"] == record["calibration_pictures"]


def test_the_page_says_how_many_claims_fail(tables, record, seeds):
    """Against learned uniform bits; counted from the record anew."""
    sizes = record["weights"]
    failing = measured = 0
    for rows in seeds.values():
        for setting, row in rows.items():
            if "uniform:2" not in rows or not setting.startswith(("bsq", "dropbits")):
                continue
            measured += 1
            bits = sum(sizes[name] * (row["magnitude_bits"][name] + 1) for name in sizes)
            equal = rows["uniform:2"]["right"] >= row["right"] - 8.99
            failing += equal and bits >= 2 * sum(sizes.values())
    page = tables.PAGE.read_text(encoding="utf-8")
    assert f"learned, the claim fails in {failing} of {measured} rows" in page

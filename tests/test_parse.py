"""Numbers and names at the door: one rule, wherever they come from."""

from __future__ import annotations

import json
import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sparqsim
from sparqsim.array.config import ArrayConfig
from sparqsim.base.parse import name_fault, real_number, require_whole_number, whole_number
from sparqsim.base.textfile import json_of, toml_of

#: What `int` takes, and what no number of a file is written with.
ODD_NUMBERS = [
    "٣",
    "²",
    "1_0",
    "+8",
    "-8",
    " 8",
    "8 ",
    "",
    "0x8",
    "8.0",
    "8e0",
    "\uff19",
    "9" * 5_000,
]


@pytest.mark.parametrize("text", ODD_NUMBERS)
def test_what_is_no_whole_number(text):
    assert whole_number(text, 0, 10**18) is None


@given(value=st.integers(0, 10**18 - 1), low=st.integers(0, 10**18), high=st.integers(0, 10**18))
def test_whole_numbers_within_their_range(value, low, high):
    assert whole_number(str(value), low, high) == (value if low <= value <= high else None)


@given(value=st.integers(-(10**40), 10**40), low=st.integers(-(10**30), 10**30))
def test_numbers_of_either_sign(value, low):
    high = low + 10**29
    if low <= value <= high:
        assert require_whole_number(str(value), "n", low, high) == value
    else:
        assert whole_number(str(value), low, high) is None
    assert whole_number(f"--{abs(value)}", low, high) is None


@given(text=st.text(string.digits + "٣²+-_ .eE", max_size=6))
def test_digits_are_those_of_ascii(text):
    is_number = bool(text) and set(text) <= set(string.digits)
    assert (whole_number(text, 0, 10**18) is not None) == is_number


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_real_numbers_are_read_as_python_writes_them(value):
    assert real_number(repr(value)) == value


@pytest.mark.parametrize(
    "text",
    ["nan", "inf", "-inf", "1e999", "1e5000", "", ".", "e3", "1_0", "٣", "0x1p3", "9" * 5_000],
)
def test_what_is_no_real_number(text):
    assert real_number(text) is None


@given(name=st.text(min_size=1, max_size=20))
def test_names_are_printable(name):
    """Of Unicode: no control, format, surrogate, private, none; of separators the blank."""
    odd = any(
        unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
        or (unicodedata.category(char) == "Zs" and char != " ")
        for char in name
    )
    assert bool(name_fault(name)) == odd


@pytest.mark.parametrize("side", [*ODD_NUMBERS[:3], "9" * 5_000, "0", "65537"])
def test_sides_of_an_array(side, small_path, refused):
    line = refused("simulate", small_path, "--pe", "mac-8b8b", "--array", f"{side}x4")
    assert len(line) < 300
    with pytest.raises(sparqsim.InputError):
        ArrayConfig.parse(f"4x{side}")


@pytest.mark.parametrize("depth", ["٣", "", "0", "9" * 5_000, "-1", "1_0"])
def test_depths_of_links(depth):
    with pytest.raises(sparqsim.InputError, match="coupling="):
        ArrayConfig(coupling=f"elastic:{depth}")


@pytest.mark.parametrize("bandwidths", ["nan", "1e999", "1_0", "٣", "1,,2", "9" * 5_000 + "e"])
def test_bandwidths(bandwidths, small_path, refused):
    assert "--bandwidths" in refused(
        "bandwidth", small_path, "--config", "edge", "--bandwidths", bandwidths
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = " + "9" * 5_000, "an integer of thousands of digits"),
        ("a = 0x" + "f" * 5_000, "a=an? int too large to show, expected an integer of 64 bits"),
        ("a = 9223372036854775808", "a=9223372036854775808, expected an integer of 64 bits"),
        ('a = ["b", "x\\u0000y"]', r"a\[1\]='x.x00y' holds U\+0000"),
        ('a = "\\u202e"', r"holds U\+202E \(right-to-left override\)"),
        ('[t]\nb = "\\u001b[31m"', r"t\.b=.*U\+001B"),
        ("a = " + "[" * 5_000, "nested too deeply.*SPARQSIM_MAX_NESTING=64"),
        ("a = 1\na = 2", "Cannot overwrite"),
        ("a = ٣", "not TOML"),
    ],
)
def test_toml(text, told):
    with pytest.raises(sparqsim.InputError, match=f"file: .*{told}"):
        toml_of(text, "file")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": NaN}', "NaN is no JSON number"),
        ('{"a": -Infinity}', "-Infinity is no JSON number"),
        ('{"a": 1e999}', "beyond every number"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "key 'c' stands twice"),
        ('{"a": ' + "9" * 5_000 + "}", "an integer of thousands of digits"),
        ("[" * 100_000, "nested too deeply.*SPARQSIM_MAX_JSON_NESTING=64"),
        ("", "Expecting value"),
        ("{}x", "Extra data"),
    ],
)
def test_json(text, told):
    with pytest.raises(sparqsim.InputError, match=f"file: not JSON .*{told}.*expected a thing"):
        json_of(text, "file", "a thing")


@pytest.mark.parametrize("how", ["twice", "NaN", "deep", "digits"])
def test_results_that_are_no_json(how, small_path, tmp_path, refused, run):
    path = tmp_path / "report.json"
    run("simulate", small_path, "--pe", "sparq-5opt", "-o", path)
    text = path.read_text()
    path.write_text(
        {
            "twice": text.replace('"pe": {', '"pe": 1, "pe": {', 1),
            "NaN": text.replace('"tiles": ', '"tiles": NaN, "more": ', 1),
            "deep": text.replace(
                '"tiles": ', '"tiles": ' + "[" * 9_000 + "]" * 9_000 + ', "m": ', 1
            ),
            "digits": text.replace('"tiles": ', '"tiles": ' + "9" * 5_000, 1),
        }[how]
    )
    assert "report.json" in refused("report", path, "-o", tmp_path / "page.html")
    assert "report.json" in refused("plot", path, "-o", tmp_path / "a.svg")


def test_a_golden_report_nested_deeply_is_a_finding(small_path, tmp_path, run):
    (tmp_path / "cases.toml").write_text(
        f'golden = "."\n[[case]]\nname = "one"\ntrace = "{small_path.name}"\npe = "mac-8b8b"\n'
    )
    assert run("regress", "update", tmp_path / "cases.toml").code == 0
    golden = tmp_path / "one.json"
    assert run("regress", "check", tmp_path / "cases.toml").code == 0
    golden.write_text('{"a":' * 50_000 + "1" + "}" * 50_000)
    ended = run("regress", "check", tmp_path / "cases.toml")
    assert ended.code == 1
    assert "nested too deeply" in ended.out


@pytest.mark.parametrize("name", ["a\0b", "\x1b[31m", "\u202e", "", "a" * 501])
def test_names_in_files_of_accelerators_and_results(name, tmp_path, small_path, refused, run):
    accelerator = tmp_path / "a.toml"
    accelerator.write_text(f"name = {json.dumps(name)}\n", encoding="utf-8")
    refused("simulate", small_path, "--pe", "mac-8b8b", "--config", accelerator)
    report = tmp_path / "r.json"
    run("simulate", small_path, "--pe", "mac-8b8b", "-o", report)
    document = json.loads(report.read_text())
    document["layers"][0]["name"] = name
    report.write_text(json.dumps(document))
    assert "layers[0].name" in refused("report", report, "-o", tmp_path / "p.html")

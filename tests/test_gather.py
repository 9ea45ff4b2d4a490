"""`sparqsim gather`: its record against plain counting, what is refused, the network behind, the
real table of the package `wordllama`.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from importlib.util import find_spec
from math import ceil
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from safetensors.numpy import save_file

import sparqsim
from sparqsim import InputError
from sparqsim.cli import main
from sparqsim.engine.behind import Behind
from sparqsim.engine.gather import Asked, gather, row_errors
from sparqsim.gather.lookups import Draw, Lookups, lookups_of
from sparqsim.gather.pooling import pooled
from sparqsim.gather.table import Table, load_table
from sparqsim.memory.accelerator import load_accelerator, parse_accelerator
from sparqsim.quantise.rows import get_row_format
from sparqsim.results.gather_report import GatherReport
from sparqsim.results.schemas import schema_text

ROOT = Path(__file__).resolve().parent.parent
HEIGHT, WIDTH = 30, 64
BAGS = ((3, 1, 29, 1), (0,), (7, 7, 7))
#: Format and layout -> bursts, page misses, cycles.
PINNED = {
    ("fp32", "padded"): (2000, 467, 16074),
    ("fp32", "packed"): (2000, 467, 16074),
    ("fp16", "padded"): (1000, 434, 13002),
    ("fp16", "packed"): (1000, 434, 13002),
    ("int8", "padded"): (1000, 434, 13002),
    ("int8", "packed"): (1000, 567, 14202),
    ("int4", "padded"): (500, 368, 8614),
    ("int4", "packed"): (732, 334, 10198),
    ("codebook4", "padded"): (500, 368, 8614),
    ("codebook4", "packed"): (500, 368, 8614),
}


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.random.default_rng(8).normal(size=(HEIGHT, WIDTH)).astype(np.float32)


@pytest.fixture
def place(tmp_path, monkeypatch, values) -> Path:
    """A folder with a table, look-ups, and files that are neither."""
    monkeypatch.chdir(tmp_path)
    save_file({"embedding.weight": values, "bias": values[0]}, "table.safetensors")
    np.save("table.npy", values.astype(np.float64))
    Path("rows.txt").write_text("\n".join(" ".join(map(str, bag)) for bag in BAGS) + "\n")
    return tmp_path


@pytest.fixture
def run(place, capsys):
    """Run the command; return its exit code, output and complaint."""

    def ran(*words: str) -> tuple[int, str, str]:
        try:
            code = main(["gather", *words]) or 0
        except SystemExit as end:
            code = int(end.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return ran


def table_of(values: np.ndarray) -> Table:
    return Table(values, "made", "0" * 64, "float32")


def test_the_record_is_what_plain_counting_gives(run, values):
    code, _, said = run("table.safetensors", "--indices", "rows.txt", "-o", "g.json")
    assert (code, said) == (0, "")
    report = GatherReport.load("g.json")
    assert (report.lookups.lookups, report.lookups.bags, report.lookups.distinct_rows) == (8, 3, 5)
    rows = [row for bag in BAGS for row in bag]
    for entry in report.entries:
        row_bytes = {"fp32": 256, "fp16": 128, "int8": 72, "int4": 36, "codebook4": 64}[
            entry.format
        ]
        stride = row_bytes if entry.layout == "packed" else 64 * ceil(row_bytes / 64)
        touched = [
            len({byte // 64 for byte in range(r * stride, r * stride + row_bytes)}) for r in rows
        ]
        assert (entry.row_bytes, entry.table_bytes) == (row_bytes, stride * HEIGHT)
        assert (entry.bursts, entry.dequantise_cycles) == (sum(touched), 8 * 4)
        assert entry.cycles == entry.dequantise_cycles + entry.row_wait_cycles
        format_ = get_row_format(entry.format)
        read = format_.decode(format_.encode(values), WIDTH)
        lost = [
            np.linalg.norm(a - b) / np.linalg.norm(a) for a, b in zip(values, read, strict=True)
        ]
        assert entry.errors.mean == pytest.approx(np.mean(lost), rel=1e-6)
        assert entry.errors.worst == pytest.approx(max(lost), rel=1e-6)
        assert entry.errors.worst_row == int(np.argmax(lost))
        assert entry.errors.mean_of_lookups == pytest.approx(
            np.mean([lost[r] for r in rows]), rel=1e-6
        )


def test_the_bound_of_64_elements_is_4_2_1(run):
    """At 8 bytes a cycle, bursts of 64: 8 cycles a burst."""
    run(
        "table.safetensors",
        "--indices",
        "zipf:1",
        "--lookups",
        "4000",
        "-o",
        "g.json",
        "--format",
        "fp32,int8,int4",
    )
    report = GatherReport.load("g.json")
    for name, bursts in {"fp32": 4, "int8": 2, "int4": 1}.items():
        entry = report.entry(name, "padded")
        assert entry.bursts == 4000 * bursts
        assert entry.bounds.tightest == ("channel", 1 / (8 * bursts))
        assert 0.98 < entry.lookups_per_cycle * 8 * bursts <= 1


def test_cycles_are_pinned(values):
    """500 look-ups of a fixed order on small pages: a change is one of the simulator's results, to
    be made on purpose.
    """
    rows = np.arange(500, dtype=np.int64) ** 2 * 7 % HEIGHT
    edge = load_accelerator("edge")
    pages = replace(edge.gather, page_bytes=256, banks=2, page_miss_cycles=20)
    squares = Lookups(rows, np.array([0]), "squares")
    asked = Asked(table_of(values), squares, replace(edge, gather=pages))
    found = {
        (each.format, each.layout): (each.bursts, each.page_misses, each.cycles)
        for each in gather(asked).entries
    }
    assert found == PINNED


def test_both_engines_give_the_same_record(run):
    for engine in ("fast", "event"):
        run(
            "table.npy",
            "--indices",
            "zipf:0.7",
            "--lookups",
            "300",
            "--engine",
            engine,
            "-o",
            f"{engine}.json",
        )
    fast, event = (json.loads(Path(f"{name}.json").read_text()) for name in ("fast", "event"))
    assert fast.pop("engine") == "fast"
    assert event.pop("engine") == "event"
    assert fast == event


def test_the_record_keeps_its_schema_and_refuses_what_contradicts_it(run):
    run("table.safetensors", "--indices", "rows.txt", "-o", "g.json")
    text = Path("g.json").read_text()
    report = GatherReport.load("g.json")
    assert report.to_json() == text
    jsonschema.validate(json.loads(text), json.loads(schema_text(GatherReport)))
    for change in (
        {"cycles": 5},
        {"bursts": 1},
        {"lookups": 9},
        {"dequantise_cycles": 31},
        {"table_bytes": 1},
        {"lookups_per_cycle": 0.5},
    ):
        document = json.loads(text)
        document["entries"][0] |= change
        with pytest.raises(InputError, match="entries"):
            GatherReport.from_json(json.dumps(document))


def test_every_format_of_printing(run):
    base = ("table.safetensors", "--indices", "rows.txt", "--layout", "packed")
    code, shown, _ = run(*base)
    assert code == 0
    assert "DRAM row buffers are not modelled" in shown
    assert "SYNTHETIC" not in shown
    _, text, _ = run(*base, "--format", "csv", "--format", "int4,int4:search=none")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["format"] for row in rows] == ["int4", "int4:search=none"]
    assert {row["bound_by"] for row in rows} == {"channel"}
    assert float(rows[0]["bound_per_second"]) == pytest.approx(
        500e6 * float(rows[0]["bound_per_cycle"])
    )
    _, text, _ = run(*base, "--format", "json")
    assert GatherReport.from_json(text).table.name == "table.safetensors"
    assert "| int4 |" in run(*base, "--format", "markdown")[1]


def test_a_format_that_is_named_twice_is_run_once(run):
    given = ("table.npy", "--indices", "zipf:1", "--lookups", "10", "--layout", "packed")
    code, _, said = run(*given, "--format", "int4,fp32,int4:search=greedy", "-o", "g.json")
    assert (code, said) == (0, "")
    assert [each.format for each in GatherReport.load("g.json").entries] == ["int4", "fp32"]


def test_drawn_lookups_say_so_everywhere(run):
    _, shown, _ = run(
        "table.npy", "--indices", "zipf:1.2", "--lookups", "500", "--seed", "4", "-o", "g.json"
    )
    assert "[SYNTHETIC look-ups: Zipf, exponent 1.2" in shown.replace("\n", "")
    report = GatherReport.load("g.json")
    assert report.lookups.synthetic.endswith("seed 4")
    assert "[SYNTHETIC]" in report.summary()
    again = lookups_of("zipf:1.2", HEIGHT, Draw(500, 32, 4))
    assert len(again.counts) <= HEIGHT
    assert again.distinct_rows == report.lookups.distinct_rows


def test_drawn_lookups_follow_zipfs_law():
    drawn = lookups_of("zipf:1", 50, Draw(lookups=200_000, bag=7))
    shares = np.sort(drawn.counts)[::-1] / 200_000
    odds = 1 / np.arange(1, 51)
    assert np.allclose(shares, odds / odds.sum(), atol=0.004)
    even = lookups_of("zipf:0", 50, Draw(lookups=200_000))
    assert np.allclose(even.counts / 200_000, 1 / 50, atol=0.002)
    assert (drawn.bags, drawn.starts[-1]) == (ceil(200_000 / 7), 200_000 // 7 * 7)


def test_lookups_of_files(place):
    lines = lookups_of("rows.txt", HEIGHT)
    assert (lines.rows.tolist(), lines.starts.tolist()) == ([3, 1, 29, 1, 0, 7, 7, 7], [0, 4, 5])
    Path("commas.txt").write_text("3,1,29 1\r\n\n0\n7, 7, 7")
    assert lookups_of("commas.txt", HEIGHT).starts.tolist() == [0, 4, 5]
    np.save("bags.npy", np.array([[1, 2], [3, 4]], np.uint16))
    assert lookups_of("bags.npy", HEIGHT).starts.tolist() == [0, 2]
    np.save("flat.npy", np.arange(10))
    assert lookups_of("flat.npy", HEIGHT, Draw(bag=4)).starts.tolist() == [0, 4, 8]


def test_pages_and_clock_come_from_the_configuration(run):
    Path("paged.toml").write_text(
        'name = "paged"\n[dram]\nbandwidth_bytes_per_cycle = 16\nlatency_cycles = 20\n'
        "[gather]\noutstanding = 32\npage_bytes = 1024\nbanks = 4\npage_miss_cycles = 30\n"
    )
    _, shown, _ = run(
        "table.npy",
        "--indices",
        "zipf:0",
        "--config",
        "paged.toml",
        "--lookups",
        "2000",
        "-o",
        "g.json",
    )
    assert "pages found open" in shown
    assert "the configuration has no clock" in shown.replace("\n", "")
    report = GatherReport.load("g.json")
    padded = {name: report.entry(name, "padded") for name in ("fp32", "int4")}
    stretches = {name: e.page_hits + e.page_misses for name, e in padded.items()}
    assert stretches == {"fp32": 2000, "int4": 2000}
    assert padded["int4"].page_hits > padded["fp32"].page_hits  # 16 rows a page, not 4
    assert report.flat_rows()[0]["lookups_per_second"] is None


def test_pages_found_open_name_the_width(run, place):
    (place / "paged.toml").write_text("[gather]\npage_bytes = 1024\n")
    given = ("table.npy", "--indices", "zipf:1", "--lookups", "10", "--config", "paged.toml")
    code, shown, _ = run(*given, "--format", "fp32", "--layout", "packed", "--width", "4,8")
    assert code == 0
    words = " ".join(shown.split())
    assert "fp32, 4 wide packed" in words
    assert "fp32, 8 wide packed" in words


def test_what_a_configuration_may_not_say():
    for text, named in {
        "[gather]\noutstanding = 0": "gather.outstanding=0: expected an integer from 1",
        "[gather]\nlane = 4": "gather.lane=4: unknown key (did you mean lanes?)",
        "[gather]\nclock_mhz = -1": "gather.clock_mhz=-1",
    }.items():
        with pytest.raises(InputError) as error:
            parse_accelerator(text, "a.toml")
        assert named in str(error.value)


def mlp(width: int = WIDTH, inputs: int = 3) -> sparqsim.Trace:
    random = np.random.default_rng(2)
    layers = [
        sparqsim.Layer.linear(
            name,
            random.integers(-99, 99, (inputs, k)).astype(np.int8),
            random.integers(-99, 99, (n, k)).astype(np.int8),
        )
        for name, k, n in (("first", width, 24), ("second", 24, 5))
    ]
    return sparqsim.Trace(layers, network="an MLP", provenance={"coverage": {"inputs": inputs}})


def test_pooled_vectors_are_means_in_order(values):
    rows, starts = np.array([3, 1, 29, 1, 0]), np.array([0, 4])
    found = pooled(values, rows, starts)
    for bag, its in enumerate(([3, 1, 29, 1], [0])):
        total = np.zeros(WIDTH, np.float32)
        for row in its:
            total += values[row]
        assert (found[bag] == total / np.float32(len(its))).all()


def test_the_network_behind_takes_pooled_vectors(values, place):
    lookups, array = lookups_of("rows.txt", HEIGHT), sparqsim.ArrayConfig(8, 8)
    memory = load_accelerator("edge")
    behind = Behind(mlp(), array, memory.memory)
    report = gather(Asked(table_of(values), lookups, memory, ("fp32", "int4")), behind)
    vectors = np.array([values[list(bag)].mean(axis=0) for bag in BAGS])
    scale = np.abs(vectors).max() / 127
    fed = sparqsim.Layer.linear(
        "first", np.rint(vectors / scale).astype(np.int8), mlp().layers[0].weights[:, 0]
    )
    first = sparqsim.simulate(sparqsim.Trace([fed]), "mac-8b8b", array, memory=memory.memory)
    second = sparqsim.simulate(mlp(), "mac-8b8b", array, memory=memory.memory).layers[1]
    entry = report.entry("fp32", "padded")
    assert entry.mlp.first_layer_cycles == first.cycles.total
    expected = first.cycles.total / 3 + second.cycles.total / 3
    assert entry.mlp.input_cycles == pytest.approx(expected)
    assert report.gather_share(entry) == pytest.approx(
        entry.cycles / 3 / (entry.cycles / 3 + expected)
    )
    assert report.gather_share(report.entry("int4", "padded")) < report.gather_share(entry)
    assert report.card.designs[0].design == "mac-8b8b"
    assert GatherReport.from_json(report.to_json()) == report


def test_several_bags_make_one_input(run):
    mlp(3 * WIDTH, inputs=2).save("mlp.safetensors")
    code, shown, said = run(
        "table.npy",
        "--indices",
        "rows.txt",
        "--with-trace",
        "mlp.safetensors",
        "--format",
        "int4",
        "-o",
        "g.json",
    )
    assert (code, said) == (0, "")
    assert "first takes 3 pooled vectors" in shown.replace("\n", "")
    told = GatherReport.load("g.json").mlp
    assert (told.bags_per_input, told.inputs, told.traced_inputs) == (3, 1, 2)


BAD = {
    "no such row": (["table.npy", "--indices", "far.txt"], "far.txt: line 2: '30', expected row numbers from 0 to 29"),
    "negative": (["table.npy", "--indices", "negative.txt"], "negative.txt: line 1: '-1', expected row numbers"),
    "a word": (["table.npy", "--indices", "word.txt"], "word.txt: line 3: 'x7', expected row numbers"),
    "real": (["table.npy", "--indices", "real.txt"], "line 1: '1.5', expected row numbers"),
    "endless": (["table.npy", "--indices", "endless.txt"], "line 1: '999"),
    "empty": (["table.npy", "--indices", "empty.txt"], "empty.txt: holds no row numbers"),
    "missing": (["table.npy", "--indices", "none.txt"], "none.txt: no such file"),
    "not UTF-8": (["table.npy", "--indices", "latin.txt"], "latin.txt: cannot be read"),
    "text not UTF-8": (["table.npy", "--indices", "text:latin.txt"], "latin.txt: cannot be read"),
    "array of reals": (["table.npy", "--indices", "table.npy"], "table.npy: float64 (30, 64), expected integers"),
    "array out of range": (["table.npy", "--indices", "far.npy"], "far.npy: [1, 0] is 30, expected row numbers"),
    "array below 0": (["table.npy", "--indices", "minus.npy"], "minus.npy: [1] is -2, expected row numbers"),
    "zipf below 0": (["table.npy", "--indices", "zipf:-1"], "zipf:-1: the exponent is '-1', expected a number from 0"),
    "zipf of nothing": (["table.npy", "--indices", "zipf:"], "the exponent is ''"),
    "zipf of nan": (["table.npy", "--indices", "zipf:nan"], "the exponent is 'nan'"),
    "too many": (
        ["table.npy", "--indices", "zipf:1", "--lookups", "200000000"],
        "zipf:1: 200,000,000 look-ups, expected at most 100,000,000; to allow them set",
    ),
    "format": (["table.npy", "--indices", "zipf:1", "--format", "int5"], "row format 'int5' is not known (did you mean int8?)"),
    "format's key": (["table.npy", "--indices", "zipf:1", "--format", "int4:bins=3"], "key 'bins=3' is not known"),
    "layout": (["table.npy", "--indices", "zipf:1", "--layout", "tight"], "--layout 'tight': expected one of padded, packed"),
    "width": (["table.npy", "--indices", "zipf:1", "--width", "65"], "width 65: rows of table.npy have 64 elements"),
    "width of words": (["table.npy", "--indices", "zipf:1", "--width", "a"], "--width a: 'a', expected whole numbers"),
    "engine": (["table.npy", "--indices", "zipf:1", "--engine", "rtl"], "engine 'rtl': expected fast or event"),
    "event of many": (["table.npy", "--indices", "zipf:1", "--engine", "event"], "engine event: 1,000,000 look-ups, expected at most"),
    "rank": (["cube.npy", "--indices", "zipf:1"], "cube.npy: float32 (2, 3, 4), expected rows x elements of fp16"),
    "dtype": (["codes.npy", "--indices", "zipf:1"], "codes.npy: int64 (2, 3), expected rows x elements"),
    "rank in safetensors": (["vector.safetensors", "--indices", "zipf:1"], "tensor 'v': float32 (3,), expected rows"),
    "which tensor": (["two.safetensors", "--indices", "zipf:1"], "2 tensors could be the table; expected --tensor with one of a, b"),
    "tensor": (["two.safetensors", "--indices", "zipf:1", "--tensor", "c"], "--tensor c: two.safetensors has no such tensor; expected one of a, b"),
    "NaN": (["nan.npy", "--indices", "zipf:1"], "nan.npy: row 1: element 2 is nan, expected finite numbers"),
    "beyond fp16": (["large.npy", "--indices", "zipf:1", "--format", "int4"], "large.npy, format int4: row 0: values"),
    "no table": (["rows.txt", "--indices", "zipf:1"], "rows.txt: not a readable safetensors file"),
    "no trace": (["table.npy", "--indices", "zipf:1", "--array", "4x4"], "--array 4x4: nothing runs on an array; add --with-trace"),
    "a design for nothing": (["table.npy", "--indices", "zipf:1", "--pe", "mac-8b8b"], "--pe mac-8b8b: nothing runs on an array; add --with-trace"),
    "look-ups of a file": (["table.npy", "--indices", "rows.txt", "--lookups", "9"], "--lookups 9: changes nothing with --indices rows.txt, expected zipf:S"),
    "seed of a file": (["table.npy", "--indices", "rows.txt", "--seed", "0"], "--seed 0: changes nothing with --indices rows.txt, expected zipf:S"),
    "bags of a file": (["table.npy", "--indices", "rows.txt", "--bag", "2"], "--bag 2: changes nothing with --indices rows.txt, expected zipf:S or a .npy file"),
    "words of a law": (["table.npy", "--indices", "zipf:1", "--tokenizer", "t.json"], "--tokenizer t.json: changes nothing with --indices zipf:1, expected text:FILE"),
    "first layer": (["table.npy", "--indices", "rows.txt", "--with-trace", "odd.safetensors"], "layer 'first': takes 65 elements, pooled vectors have 64"),
    "bags left over": (["table.npy", "--indices", "rows.txt", "--with-trace", "wide.safetensors"], "3 bags, of which 2 make an input"),
    "inputs": (["table.npy", "--indices", "rows.txt", "--with-trace", "untold.safetensors"], "does not say for how many inputs"),
    "convolution": (["table.npy", "--indices", "rows.txt", "--with-trace", "conv.safetensors"], "is a conv2d of 1 groups"),
}  # fmt: skip


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("bad")
    texts = {
        "rows": "3 1 29 1\n0\n7 7 7\n", "far": "1 2\n3 30", "negative": "-1", "word": "1\n2\n3 x7",
        "real": "1.5", "endless": "9" * 400, "empty": "\n \n",
    }  # fmt: skip
    for name, text in texts.items():
        (place / f"{name}.txt").write_text(text)
    (place / "latin.txt").write_bytes("Stra\xdfe".encode("latin-1"))
    ones = np.ones((2, 3), np.float32)
    nan, large = ones.copy(), ones * np.float32(1e9)
    nan[1, 2] = np.nan
    arrays = {
        "table": np.random.default_rng(1).normal(size=(HEIGHT, WIDTH)), "cube": np.ones((2, 3, 4), np.float32),
        "codes": np.ones((2, 3), np.int64), "nan": nan, "large": large,
        "far": np.array([[1, 2], [30, 4]]), "minus": np.array([1, -2]),
    }  # fmt: skip
    for name, array in arrays.items():
        np.save(place / f"{name}.npy", array)
    save_file({"v": ones[0]}, place / "vector.safetensors")
    save_file({"a": ones, "b": ones}, place / "two.safetensors")
    mlp(WIDTH + 1).save(place / "odd.safetensors")
    mlp(2 * WIDTH).save(place / "wide.safetensors")
    sparqsim.Trace(mlp().layers, network="untold").save(place / "untold.safetensors")
    pixels, kernel = np.ones((1, 4, 4, 2), np.uint8), np.ones((3, 1, 2), np.int8)
    conv = sparqsim.Layer.conv2d("conv", pixels, kernel, kernel=(1, 1))
    sparqsim.Trace([conv]).save(place / "conv.safetensors")
    return place


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line(name, bad_files, monkeypatch, capsys):
    monkeypatch.chdir(bad_files)
    words, expected = BAD[name]
    with pytest.raises(SystemExit) as end:
        main(["gather", *words])
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.count("\n") == 1
    assert expected in said


def test_a_plot_takes_one_record(run, capsys):
    run("table.npy", "--indices", "rows.txt", "--width", "16,64", "-o", "g.json")
    with pytest.raises(SystemExit) as end:
        main(["plot", "g.json", "--kind", "gather", "-o", "g.svg"])
    assert not end.value.code
    assert Path("g.svg").read_text().startswith("<?xml")
    for words, expected in (
        (["g.json", "g.json", "--kind", "gather"], "2 files, expected one"),
        (["g.json", "--kind", "speedup"], "the record of `sparqsim gather`"),
        (["rows.txt", "--kind", "gather"], "expected the -o of `gather`"),
        (
            ["g.json", "--kind", "gather", "--baseline", "fp32"],
            "figures of kind gather do not take it",
        ),
    ):
        with pytest.raises(SystemExit) as end:
            main(["plot", *words, "-o", "g.svg"])
        assert end.value.code == 2
        assert expected in capsys.readouterr().err


def test_rows_of_zeros_have_an_error_of_0_or_1():
    rows = np.array([[0, 0], [3, 4]], np.float32)
    found = row_errors(rows, np.array([[0, 1], [3, 4]], np.float32), np.array([1, 3]))
    assert (found.worst, found.worst_row, found.mean_of_lookups) == (1, 0, 0.25)
    assert row_errors(rows, rows, np.array([1])).worst == 0


def test_without_the_package_its_name_is_refused_with_the_extra(place, monkeypatch):
    monkeypatch.setattr("sparqsim.gather.table.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"wordllama: the package is not installed; .*\[gather\]"):
        load_table("wordllama")


@pytest.fixture(scope="module")
def real_table() -> Table:
    """The table of a real model."""
    if find_spec("wordllama") is None:
        pytest.skip("extra 'gather' is not installed")
    return load_table("wordllama")


def test_the_real_table_and_rows_of_real_text_are_read(real_table):
    pytest.importorskip("tokenizers", reason="extra 'gather' is not installed")
    assert (real_table.height, real_table.width, real_table.dtype) == (32_000, 256, "float16")
    text = ROOT / "docs" / "memory.md"
    lookups = lookups_of(f"text:{text}", real_table.height)
    lines = text.read_text(encoding="utf-8").split("\n")
    assert 1 < lookups.bags <= len([line for line in lines if line.strip()])
    assert lookups.synthetic == ""
    assert lookups.distinct_rows > 200


def test_formats_lose_less_in_their_order_on_real_rows(real_table):
    """Of 4,000 rows; the whole table is on the page (docs/how-to/gather.md)."""
    part = Table(real_table.values[:4000], "part", real_table.sha256, real_table.dtype)
    rows = Lookups(np.arange(4000), np.array([0]), "every row")
    formats = ("fp16", "int8", "codebook4", "int4", "int4:search=none")
    found = gather(Asked(part, rows, load_accelerator("edge"), formats, ("padded",)))
    means = [entry.errors.mean for entry in found.entries]
    assert means[0] == 0  # the table is fp16
    assert means == sorted(means)
    assert means[1] < 0.01 < means[2]

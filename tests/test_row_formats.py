"""Row formats of embedding tables: the contract, and every bit against a plain definition.

The definition below goes element by element in numpy's scalars, with the order of rounding of
PyTorch's reference (bias to fp16 before the range is taken), and shares nothing with the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqsim import InputError
from sparqsim.base.contract import variants
from sparqsim.quantise.rows import RowFormat, get_row_format, shipped_row_formats
from sparqsim.quantise.rows.contract import CHECKS, check_row_format

f16, f32, f64 = np.float16, np.float32, np.float64
SHIPPED = [each.spec for kind in shipped_row_formats().values() for each in variants(kind)]


def half_uniform(row, low, high):
    """Return codes, scale and bias of a row whose codes cover low to high."""
    bias = f16(low)
    scale = f16((f32(high) - f32(bias)) / f32(15))
    if scale == 0:
        scale = f16(1)
    inverse = f32(1) / f32(scale)
    codes = [int(min(max(np.rint((x - f32(bias)) * inverse), 0), 15)) for x in row]
    return codes, scale, bias


def squared_loss(row, low, high):
    """Return the squared error of `half_uniform`, added up in fp64."""
    codes, scale, bias = half_uniform(row, low, high)
    total = f64(0)
    for x, code in zip(row, codes, strict=True):
        total += f64(x - (f32(code) * f32(scale) + f32(bias))) ** 2
    return total


def greedy(row):
    """Return the range that shrinking side by side keeps: 200 steps, at least 84 % of them.

    In fp32 a step may be too small to move an end: ranges repeat, and there it ends.
    """
    seen = set()
    low = best_low = min(row)
    high = best_high = max(row)
    step = f32((high - low) / f32(200))
    loss = best = squared_loss(row, low, high)
    while f32(low + f32(f32(168) * step)) < high and (low, high) not in seen:
        seen.add((low, high))
        left, right = (
            squared_loss(row, f32(low + step), high),
            squared_loss(row, low, f32(high - step)),
        )
        if loss < left and loss < right and loss < best:
            best, best_low, best_high = loss, low, high
        if left < right:
            low, loss = f32(low + step), left
        else:
            high, loss = f32(high - step), right
    return best_low, best_high


def nibbles(codes):
    """Return codes two to a byte, the first in the low half."""
    padded = [*codes, 0] if len(codes) % 2 else codes
    return bytes(one | other << 4 for one, other in zip(padded[::2], padded[1::2], strict=True))


def int4_bytes(row, low, high):
    codes, scale, bias = half_uniform(row, low, high)
    return nibbles(codes) + scale.tobytes() + bias.tobytes()


def int8_bytes(row):
    bias = min(row)
    scale = f32((max(row) - bias) / f32(255))
    with np.errstate(divide="ignore", over="ignore"):
        if not np.isfinite(f32(1) / scale):
            scale = f32(1)
    inverse = f32(1) / scale
    codes = [int(min(max(np.rint((x - bias) * inverse), 0), 255)) for x in row]
    return bytes(codes) + scale.tobytes() + bias.tobytes()


def nearest_centroid(x, book):
    return min(range(16), key=lambda code: (abs(f64(x) - f64(book[code])), code))


def codebook_bytes(row):
    """Lloyd's iterations from the values of the greedy range."""
    _, scale, bias = half_uniform(row, *greedy(row))
    book = sorted(f64(f32(code) * f32(scale) + f32(bias)) for code in range(16))
    before = None
    for _ in range(100):
        chosen = [nearest_centroid(x, book) for x in row]
        if chosen == before:
            break
        before = chosen
        for code in set(chosen):
            sums = f64(0)
            for x, its in zip(row, chosen, strict=True):
                if its == code:
                    sums += f64(x)
            book[code] = sums / chosen.count(code)
    halves = np.array(book).astype(f16)
    return nibbles([nearest_centroid(x, halves) for x in row]) + halves.tobytes()


DEFINITIONS = {
    "fp32": lambda row: row.astype("<f4").tobytes(),
    "fp16": lambda row: b"".join(f16(x).tobytes() for x in row),
    "int8": int8_bytes,
    "int4:search=none": lambda row: int4_bytes(row, min(row), max(row)),
    "int4": lambda row: int4_bytes(row, *greedy(row)),
    "codebook4": codebook_bytes,
}


def rows_of_kind(kind: str) -> np.ndarray:
    """Return rows of widths that are odd and even, of one kind."""
    random = np.random.default_rng(len(kind))
    rows = random.normal(size=(6, 13)).astype(f32)
    half = random.integers(-8, 9, (6, 6)).astype(f32)
    made = {
        "random": rows,
        "constant": np.repeat(random.normal(size=(6, 1)).astype(f32), 13, axis=1),
        "zeros": np.zeros((2, 13), f32),
        "huge": (rows * f32(15_000)).clip(-60_000, 60_000),
        "tiny": rows * f32(1e-7),
        "below fp16": rows * f32(1e-30),
        "denormal": rows * f32(1e-42),
        "far from zero": rows + f32(4000),
        "one outlier": np.where(np.arange(13) == 3, f32(50), rows * f32(0.01)).astype(f32),
        "zeros of both signs": np.where(rows > 0, f32(0), f32(-0.0)).astype(f32),
        "mirrored": np.concatenate([half, 0 * half[:, :1], -half[:, ::-1]], axis=1),
        "a few last places": f32(1000) + random.integers(0, 9, (6, 13)).astype(f32) * f32(2**-14),
        "least step": random.integers(0, 2, (6, 13)).astype(f32) * f32(2**-149),
        "two values": np.where(rows > 0, f32(0.3), f32(-0.1)).astype(f32),
    }
    return made[kind]


KINDS = (
    "random", "constant", "zeros", "huge", "tiny", "below fp16", "denormal", "far from zero",
    "one outlier", "mirrored", "zeros of both signs", "two values", "a few last places",
    "least step",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spec", DEFINITIONS)
def test_every_byte_is_that_of_the_plain_definition(spec, kind):
    rows, define = rows_of_kind(kind), DEFINITIONS[spec]
    for width in (13, 12, 1):
        part = np.ascontiguousarray(rows[:, :width])
        stored = get_row_format(spec).encode(part)
        for row, its in zip(part, stored, strict=True):
            assert its.tobytes() == define(row), (width, row)


@given(
    st.lists(st.floats(-60_000, 60_000, width=32), min_size=1, max_size=20),
    st.sampled_from(sorted(DEFINITIONS)),
)
def test_every_byte_of_any_row_is_that_of_the_plain_definition(values, spec):
    row = np.array(values, f32)
    assert get_row_format(spec).encode(row[None])[0].tobytes() == DEFINITIONS[spec](row)


def test_centroids_are_numbers_of_fp16():
    ends = np.array([[-60_000, 65_504, 0, 0]], f32)
    stored = get_row_format("codebook4").encode(ends)
    assert np.isfinite(np.ascontiguousarray(stored[:, -32:]).view("<f2")).all()
    assert (get_row_format("codebook4").decode(stored, 4) == ends.astype(f16)).all()
    with pytest.raises(InputError, match=r"row 1: .* beyond fp16"):
        get_row_format("codebook4").encode(np.array([[0, 1], [1, 65_520]], f32))


def test_values_read_back_are_those_of_the_bytes():
    rows = rows_of_kind("random")
    for spec in ("int4:search=none", "int4"):
        stored = get_row_format(spec).encode(rows)
        read = get_row_format(spec).decode(stored, 13)
        for at, its in enumerate(stored):
            scale, bias = np.frombuffer(its[-4:].tobytes(), "<f2").astype(f32)
            codes = [(its[k // 2] >> 4 * (k % 2)) & 15 for k in range(13)]
            assert read[at].tolist() == [f32(f32(code) * scale) + bias for code in codes]
    stored = get_row_format("int8").encode(rows)
    scale, bias = np.frombuffer(stored[2, 13:].tobytes(), "<f4")
    assert get_row_format("int8").decode(stored, 13)[2].tolist() == [
        f32(f32(code) * scale) + bias for code in stored[2, :13]
    ]


@pytest.mark.parametrize("spec", SHIPPED)
def test_shipped_formats_keep_the_contract(spec):
    for outcome in check_row_format(get_row_format(spec)):
        assert not outcome.failure, f"{outcome.check}: {outcome.failure}"


def test_bytes_a_row():
    """d/2 + 4 bytes, d + 8 bytes: 36, 72 and 256 at d = 64; 12.5 % + 1/d of fp32."""
    sizes = {spec: get_row_format(spec).row_bytes(64) for spec in DEFINITIONS}
    assert sizes == {
        "fp32": 256, "fp16": 128, "int8": 72, "int4": 36, "int4:search=none": 36, "codebook4": 64,
    }  # fmt: skip
    for width in (16, 64, 72, 256):
        assert get_row_format("int4").row_bytes(width) / (4 * width) == 0.125 + 1 / width


def l2(spec: str, rows: np.ndarray) -> np.ndarray:
    """Return the normalised L2 error of each row."""
    read = get_row_format(spec).decode(get_row_format(spec).encode(rows), rows.shape[1])
    exact = rows.astype(f64)
    return np.linalg.norm(exact - read, axis=1) / np.linalg.norm(exact, axis=1)


@pytest.mark.parametrize("width", [16, 64, 256])
@pytest.mark.parametrize("draw", ["normal", "laplace", "uniform"])
def test_greedy_loses_no_row_and_the_codebook_wins_on_average(draw, width):
    random = np.random.default_rng(width)
    sample = (
        random.uniform(-1, 1, (200, width))
        if draw == "uniform"
        else getattr(random, draw)(size=(200, width))
    )
    rows = sample.astype(f32)
    none, searched, book = (l2(spec, rows) for spec in ("int4:search=none", "int4", "codebook4"))
    assert (searched <= none).all()
    assert searched.mean() < none.mean() or draw == "uniform"
    assert book.mean() <= searched.mean()


#: Of N(0, 1) rows, from a computation that is not this project's: asymmetric, greedy, codebook.
KNOWN_L2 = {
    32: (0.0758, 0.0682, 0.0510),
    64: (0.0903, 0.0820, 0.0698),
    128: (0.1007, 0.0917, 0.0834),
    256: (0.1095, 0.0983, 0.0900),
}


@pytest.mark.parametrize("width", KNOWN_L2)
def test_errors_of_normal_rows_are_known(width):
    """Within 3 %; at d = 32, where rows differ most, all three are 2 to 3.6 % above what is known,
    which was of few rows: the ratios between formats are within 1.5 % there, too."""
    rows = np.random.default_rng(1).normal(size=(2000, width)).astype(f32)
    found = [l2(spec, rows).mean() for spec in ("int4:search=none", "int4", "codebook4")]
    assert np.allclose(found, KNOWN_L2[width], rtol=0.03 if width > 32 else 0.04)
    known_ratios = np.divide(KNOWN_L2[width][1:], KNOWN_L2[width][0])
    assert np.allclose(np.divide(found[1:], found[0]), known_ratios, rtol=0.015)


def test_pytorch_has_the_same_bytes():
    """`embedding_bag_4bit_prepack`, and its greedy search but where fp32 sums decide otherwise."""
    torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")
    rows = np.random.default_rng(5).normal(size=(300, 64)).astype(f32)
    rows[7], rows[8] = 0.1, 0
    prepack = torch.ops.quantized.embedding_bag_4bit_prepack
    plain = prepack(torch.from_numpy(rows.copy()), False).numpy()
    assert (plain == get_row_format("int4:search=none").encode(rows)).all()
    searched = prepack(torch.from_numpy(rows.copy()), True, 200, 0.16).numpy()
    same = (searched == get_row_format("int4").encode(rows)).all(axis=1)
    assert same.mean() > 0.95


@pytest.mark.parametrize("spec", DEFINITIONS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused_with_its_row(spec, bad):
    rows = rows_of_kind("random")
    rows[5, 2] = bad
    with pytest.raises(InputError, match=rf"row 5: element 2 is {bad}"):
        get_row_format(spec).encode(rows)


@pytest.mark.parametrize(
    ("spec", "row"),
    [
        ("fp16", [65_520, 0]),
        ("int4", [-70_000, 0]),
        ("int4:search=none", [0, 2e6]),
        ("codebook4", [0, 2e6]),
        ("int8", [-3e38, 3e38]),
    ],
)
def test_a_row_that_a_format_cannot_hold_is_refused_with_its_number(spec, row):
    rows = np.array([[0, 1], row], f32)
    with pytest.raises(InputError, match=r"row 1: values .* beyond fp"):
        get_row_format(spec).encode(rows)


@dataclass(frozen=True)
class Shifted(RowFormat):
    """Breaks one clause after another."""

    name: ClassVar[str] = "shifted"
    broken: str = ""

    def row_bytes(self, width):
        return 4 * width + (self.broken == "bytes")

    def encode(self, rows):
        if self.broken != "refuses nothing" and not np.isfinite(rows).all():
            raise InputError(f"row {np.argwhere(~np.isfinite(rows))[0][0]}: not finite")
        if self.broken == "writes":
            rows += 1
        shift = rows.max() if self.broken == "rows together" else 0
        return np.ascontiguousarray(rows - shift, "<f4").view(np.uint8)

    def decode(self, stored, width):
        return stored.view("<f4") + f32(self.broken == "zeros")


@pytest.mark.parametrize(
    ("broken", "check"),
    [
        ("bytes", "bytes"),
        ("writes", "what is given is not written to"),
        ("rows together", "rows do not know of each other"),
        ("zeros", "values"),
        ("refuses nothing", "NaN and infinity are refused"),
    ],
)
def test_the_contract_finds_what_breaks_it(broken, check):
    failed = {o.check for o in check_row_format(Shifted(broken)) if o.failure}
    assert check in failed


def test_a_format_of_ones_own_needs_one_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from sparqsim.quantise.rows.fp16 import Fp16\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Fp16):\n"
        "    name = 'mine'\n"
    )
    mine = get_row_format(f"{tmp_path}/mine.py:Mine")
    assert [o.check for o in check_row_format(mine) if o.failure] == []
    assert len(CHECKS) == 6


def test_unknown_names_and_keys_are_one_line():
    with pytest.raises(InputError, match=r"row format 'int3' is not known \(did you mean int8"):
        get_row_format("int3")
    with pytest.raises(InputError, match=r"search='best'.*expected one of greedy, none"):
        get_row_format("int4:search=best")
    with pytest.raises(InputError, match="iterations='0', expected an integer"):
        get_row_format("codebook4:iterations=0")

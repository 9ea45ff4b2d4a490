"""Arrays, labels and numbers from files: right, or one line, and never more memory than is
there.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparqsim import InputError
from sparqsim.base.parse import require_whole_number
from sparqsim.networks.images import Pictures, load_labels
from sparqsim.networks.images.labels import checked_classes
from sparqsim.trace.arrayfile import read_npy, read_npz


def header(text: str, body: bytes = b"") -> bytes:
    """Return an .npy file of version 1.0 with any header."""
    padded = text.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(padded).to_bytes(2, "little") + padded + body


def described(descr: str, shape: str, body: bytes = bytes(24)) -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}", body)


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i4", "<f2", ">f4", "<f8", "<u8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_are_read_in_every_order(tmp_path: Path, dtype: str, order: str) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype, order=order)
    np.save(tmp_path / "a.npy", values)
    array = read_npy(tmp_path / "a.npy")
    assert array.tolist() == values.tolist()
    assert array.flags.c_contiguous
    assert array.dtype.isnative


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no header"),
    "no array": (b"junk\n", "no header"),
    "terabytes": (described("'|u1'", "(1099511627776, 3)"), "and 24 are there"),
    "overflowing shape": (described("'|u1'", "(4294967296, 4294967296, 4)"), "are there"),
    "negative shape": (described("'<f4'", "(-2, -3)"), "whole .npy file"),
    "True for 1": (described("'|u1'", "(True, 24)"), "whole .npy file"),
    "cut": (described("'<f8'", "(2, 3)"), "takes 48 bytes, and 24 are there"),
    "more than said": (described("'|u1'", "(2, 3)"), "takes 6 bytes, and 24 are there"),
    "objects": (described("'|O'", "(3,)"), "object (3,), expected integers or real numbers"),
    "structure": (described("[('a', '|u1')]", "(24,)"), "expected integers or real numbers"),
    "complex": (described("'<c8'", "(3,)"), "complex64 (3,), expected"),
    "text": (described("'<U1'", "(6,)"), "expected integers or real numbers"),
    "truth": (described("'|b1'", "(24,)"), "bool (24,), expected"),
    "nothing in it": (described("'<f4'", "(0, 6)", b""), "expected at least one element"),
    "header that is code": (described("__import__('os')", "(3,)"), "no header"),
    "header that does not end": (header("'''"), "no header"),
    "deep header": (header("(" * 117), "no header"),
    "version 3": (described("'|u1'", "(24,)").replace(b"Y\1\0", b"Y\3\0", 1), "version (3, 0)"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_array_is_one_line(tmp_path: Path, case: str) -> None:
    content, words = BROKEN[case]
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_npy(tmp_path / "a.npy")
    assert words in str(caught.value)
    assert "a.npy" in str(caught.value)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", content)
    with pytest.raises(InputError) as caught:
        read_npz(tmp_path / "a.npz", "images")
    assert words in str(caught.value)


def test_archives_unpack_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed array above the bound is refused, the same one uncompressed is read."""
    monkeypatch.setenv("SPARQSIM_MAX_UNPACKED_BYTES", "1000")
    values = np.zeros(2000, np.uint8)
    np.savez_compressed(tmp_path / "a.npz", images=values)
    with pytest.raises(InputError, match=r"images\.npy, unpacked: 2,128 bytes, expected at most"):
        read_npz(tmp_path / "a.npz", "images")
    np.savez(tmp_path / "a.npz", images=values)
    assert read_npz(tmp_path / "a.npz", "images")["images"].size == 2000


def test_only_arrays_that_are_asked_for_are_read(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.ones((2, 3), np.float32))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", stream.getvalue())
        archive.writestr("more.npy", b"junk")
        archive.writestr("notes", b"text")
    assert list(read_npz(tmp_path / "a.npz", "images", ["labels"])) == ["images"]


@pytest.mark.parametrize(
    "content", [b"PK", b"PK\3\4" + bytes(40), b"PK\5\6" + bytes(18)], ids=["short", "cut", "empty"]
)
def test_what_is_no_archive_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.npz: "):
        Pictures.open(tmp_path / "a.npz")


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_inputs_are_finite_in_single_precision(tmp_path: Path, value: float) -> None:
    values = np.ones((3, 4))
    values[1, 2] = value
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(InputError, match="input 1 holds NaN, infinite values"):
        list(Pictures.open(tmp_path / "x.npy").batches(8, "nchw"))


def test_real_numbers_do_not_become_codes_in_silence(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((1, 4), 0.7))
    with pytest.raises(InputError, match="float64 numbers and the network takes int8"):
        list(Pictures.open(tmp_path / "x.npy").batches(1, "nhwc", np.int8))


@given(st.integers(-(10**30), 10**30), st.integers(-(2**40), 2**40), st.integers(0, 2**40))
def test_whole_numbers_are_those_in_range(number: int, lowest: int, span: int) -> None:
    highest = lowest + span
    if lowest <= number <= highest:
        text = f"00{number}".replace("00-", "-00")
        assert require_whole_number(text, "n", lowest, highest) == number
    else:
        with pytest.raises(InputError, match=f"from {lowest} to {highest}"):
            require_whole_number(str(number), "n", lowest, highest)


@pytest.mark.parametrize(
    "text",
    ["", "²", "٣", "\uff11", "1_0", "+1", "1.0", "1e3", "0x1", "--1", "1\0", "½", "9" * 5000],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"row 3: class is .* expected a whole number") as caught:
        require_whole_number(text, "row 3: class", 0, 2**31 - 1)
    assert len(str(caught.value)) < 200


NAMES = ["p0.png", "p1.png"]
LABELS: dict[str, tuple[bytes, str]] = {
    "digits without end": (b"p0.png," + b"9" * 5000 + b"\np1.png,1\n", "line 1: class is '999"),
    "negative": (b"p0.png,1\np1.png,-1\n", "line 2: class is '-1'"),
    "superscript": ("p0.png,1\np1.png,²\n".encode(), "line 2: class is '²'"),
    "Arabic digits": ("p0.png,1\np1.png,٣\n".encode(), "line 2: class is '٣'"),
    "NUL": (b"p0.png,1\np1.png,1\0\n", "line 2: class is"),
    "no class": (b"p0.png,1\np1.png\n", "line 2 has 1 column,"),
    "two classes": (b"p0.png,1\np0.png,2\np1.png,1\n", "line 2: class 2 for 'p0.png', which has"),
    "not UTF-8": (b"p0.png,1\n\xff\xfe,1\n", "cannot be read"),
    "empty": (b"", "no class for picture 'p0.png'"),
    "field without end": (b"x" * 200_000, "line 1: field larger than"),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_that_cannot_be_used_are_one_line(tmp_path: Path, case: str) -> None:
    content, words = LABELS[case]
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_labels(tmp_path / "labels.csv", NAMES)
    assert words in str(caught.value)
    assert "labels.csv" in str(caught.value)


def test_labels_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbfp0.png,7\np1.png,8\n")
    assert load_labels(tmp_path / "labels.csv", NAMES).tolist() == [7, 8]


def test_texts_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "l.csv").write_text("p0.png,1\n" * 4)
    monkeypatch.setenv("SPARQSIM_MAX_LABEL_BYTES", "36")
    assert load_labels(tmp_path / "l.csv", NAMES[:1]).tolist() == [1]
    monkeypatch.setenv("SPARQSIM_MAX_LABEL_BYTES", "35")
    with pytest.raises(
        InputError, match=r"l\.csv: 36 bytes, expected at most 35; .*LABEL_BYTES=36"
    ):
        load_labels(tmp_path / "l.csv", NAMES[:1])


def test_a_first_line_with_a_number_of_another_script_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("p0.png,٣\np0.png,1\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"l\.csv: line 1: class is '٣'"):
        load_labels(tmp_path / "l.csv", NAMES[:1])


def test_lines_are_counted_as_an_editor_counts_them(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("file,class\n\n\np0.png,x\n")
    with pytest.raises(InputError, match=r"l\.csv: line 4: class is 'x'"):
        load_labels(tmp_path / "l.csv", NAMES[:1])


@pytest.mark.parametrize("values", [[0, -1], [0, 2**31], [0]])
def test_arrays_of_labels_are_classes(tmp_path: Path, values: list[int]) -> None:
    np.save(tmp_path / "labels.npy", np.array(values))
    with pytest.raises(InputError, match=r"labels\.npy: "):
        load_labels(tmp_path / "labels.npy", NAMES)


def test_labels_beyond_64_signed_bits_do_not_wrap(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.array([1, 2**63], np.uint64))
    with pytest.raises(InputError, match="class 9223372036854775808 is"):
        load_labels(tmp_path / "labels.npy", NAMES)


def test_offsets_lead_to_classes() -> None:
    assert checked_classes(np.array([1, 5]), "l", -1).tolist() == [0, 4]
    with pytest.raises(InputError, match="l: class 1 with --label-offset -2 is -1, expected 0"):
        checked_classes(np.array([1, 5]), "l", -2)


def test_a_negative_offset_is_an_argument(refused: Callable[..., str], tmp_path: Path) -> None:
    """It is read as a number, not as another option: the fault that is named comes after it."""
    line = refused("accuracy", "n.onnx", "--images", tmp_path / "gone", "--label-offset", "-1")
    assert "gone" in line

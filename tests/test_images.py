"""Pictures: what steps do to them, where they come from, their classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparqsim import InputError
from sparqsim.networks.images import Pictures, load_labels
from sparqsim.networks.preprocess import Preprocess

image = pytest.importorskip("PIL.Image", reason="needs the extra 'onnx' (pillow)")

RANDOM = np.random.default_rng(4)
PIXELS = RANDOM.integers(0, 256, (10, 13, 3), dtype=np.uint8)
FLOAT = np.dtype(np.float32)


def prepared(spec: str, pixels: np.ndarray = PIXELS) -> np.ndarray:
    return Preprocess.parse(spec).apply(pixels, "nhwc", FLOAT)


def test_values_go_through_the_steps_in_order() -> None:
    wanted = (PIXELS * np.float32(1 / 255) - np.array([0.1, 0.2, 0.3], np.float32)) / np.float32(
        0.5
    )
    assert np.array_equal(prepared("scale:1/255,mean:0.1:0.2:0.3,std:0.5"), wanted)
    assert np.array_equal(prepared("mean:3,scale:2"), (PIXELS.astype(np.float32) - 3) * 2)


def test_channel_order_comes_before_values() -> None:
    assert np.array_equal(
        prepared("order:bgr,mean:1:2:3"), PIXELS[..., ::-1].astype(np.float32) - [1, 2, 3]
    )


def test_layouts() -> None:
    assert np.array_equal(prepared("layout:nchw"), PIXELS.transpose(2, 0, 1).astype(np.float32))


def test_crops_take_the_centre() -> None:
    assert np.array_equal(prepared("crop:4"), PIXELS[3:7, 4:8].astype(np.float32))
    assert np.array_equal(prepared("crop:3x6"), PIXELS[3:6, 3:9].astype(np.float32))
    assert np.array_equal(prepared("crop:0.5"), PIXELS[2:7, 4:9].astype(np.float32))


def test_resize() -> None:
    assert prepared("resize:5").shape == (5, 6, 3)
    assert prepared("resize:7x4").shape == (7, 4, 3)
    assert prepared("resize:5", PIXELS[..., :1]).shape == (5, 6, 1)
    flat = np.full((9, 9, 3), 77, np.uint8)
    assert np.array_equal(prepared("resize:4", flat), np.full((4, 4, 3), 77, np.float32))


def test_eight_bit_networks_take_pixels() -> None:
    steps = Preprocess.parse("crop:4")
    assert np.array_equal(steps.apply(PIXELS, "nhwc", np.dtype(np.uint8)), PIXELS[3:7, 4:8])
    assert np.array_equal(
        steps.apply(PIXELS, "nhwc", np.dtype(np.int8)), (PIXELS[3:7, 4:8].astype(int) - 128)
    )
    with pytest.raises(InputError, match="expected no scale"):
        Preprocess.parse("scale:2").apply(PIXELS, "nhwc", np.dtype(np.uint8))


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ("rezise:4", "did you mean resize"),
        ("resize:", "resize:N"),
        ("resize:1x2x3", "resize:N"),
        ("crop:0", "crop:N"),
        ("crop:1.5", "share above 0"),
        ("scale:1:2", "expected 1 numbers"),
        ("mean:1:2", "1 or 3"),
        ("std:0", "division by zero"),
        ("scale:1/0", "such as 0.5"),
        ("order:rbg", "order:rgb or bgr"),
        ("layout:hw", "layout:nchw"),
        ("crop:99", "at least 99x99"),
    ],
)
def test_faults_of_a_spec_are_named(spec: str, word: str) -> None:
    with pytest.raises(InputError, match=word):
        prepared(spec)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "a.png", "c.png"):
        image.fromarray(RANDOM.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_a_folder_is_read_in_name_order(folder: Path) -> None:
    pictures = Pictures.open(folder)
    assert pictures.names == ("a.png", "b.png", "c.png")
    assert [batch.shape for batch in pictures.batches(2, "nchw")] == [(2, 3, 6, 6), (1, 3, 6, 6)]
    assert np.array_equal(
        next(pictures.batches(1, "nhwc"))[0], np.asarray(image.open(folder / "a.png"), np.float32)
    )
    assert pictures.first(2).names == ("a.png", "b.png")


def test_broken_and_odd_pictures_are_named(folder: Path) -> None:
    image.fromarray(PIXELS).save(folder / "d.png")
    with pytest.raises(InputError, match=r"d\.png: prepared to .* expected one size"):
        list(Pictures.open(folder).batches(4, "nchw"))
    (folder / "a.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"a\.png: not a readable picture"):
        list(Pictures.open(folder).batches(1, "nchw"))


def test_labels_by_file_name(folder: Path) -> None:
    (folder / "labels.csv").write_text("name,class,file\nx,7,c.png\ny,5,a.png\nz,6,b.png\n")
    assert load_labels(folder / "labels.csv", ["a.png", "b.png", "c.png"]).tolist() == [5, 6, 7]
    with pytest.raises(InputError, match=r"no class for picture 'd\.png'"):
        load_labels(folder / "labels.csv", ["a.png", "d.png"])
    (folder / "labels.csv").write_text("a.png,1\nb.png,x\n")
    with pytest.raises(InputError, match="line 2: class is 'x'"):
        load_labels(folder / "labels.csv", ["a.png"])


def test_arrays_with_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", images=PIXELS[None].repeat(3, axis=0), labels=np.array([1, 2, 3]))
    pictures = Pictures.open(tmp_path / "p.npz", "crop:4").first(2)
    assert pictures.labels.tolist() == [1, 2]
    assert next(pictures.batches(8, "nchw")).shape == (2, 3, 4, 4)


def test_float_arrays_are_fed_as_they_are(tmp_path: Path) -> None:
    values = RANDOM.normal(size=(3, 5))
    np.save(tmp_path / "x.npy", values)
    assert np.array_equal(
        next(Pictures.open(tmp_path / "x.npy").batches(8, "nchw")), values.astype(np.float32)
    )
    with pytest.raises(InputError, match="expected no --preprocess"):
        Pictures.open(tmp_path / "x.npy", "scale:2")


@pytest.mark.parametrize(
    "content",
    [
        {"a": np.zeros(2), "b": np.zeros(3)},
        {"images": np.zeros((2, 3), np.complex64)},
        {"images": np.array(3.0)},
        {"images": np.zeros((0, 3))},
        {"images": np.zeros((2, 4, 4, 3), np.uint8), "labels": np.zeros(3, int)},
    ],
)
def test_files_without_pictures_are_bad_input(
    tmp_path: Path, content: dict[str, np.ndarray]
) -> None:
    np.savez(tmp_path / "p.npz", **content)
    with pytest.raises(InputError, match=r"p\.npz"):
        Pictures.open(tmp_path / "p.npz")


def test_arrays_by_name_are_inputs_of_networks(tmp_path: Path) -> None:
    """Several arrays belong to several inputs; whole numbers are fed as they are."""
    ids, mask = np.arange(12).reshape(4, 3), np.ones((4, 3), bool)
    np.savez(tmp_path / "two.npz", ids=ids, mask=mask, labels=np.arange(4))
    opened = Pictures.open(tmp_path / "two.npz").at([3, 1])
    assert (opened.names, opened.labels.tolist()) == (("3", "1"), [3, 1])
    assert np.array_equal(opened.arrays["ids"], ids[[3, 1]])
    assert np.array_equal(opened.arrays["mask"], mask[[3, 1]])
    with pytest.raises(InputError, match="the arrays ids, mask"):
        next(opened.batches(2, "nchw"))
    np.save(tmp_path / "ids.npy", ids)
    batch = next(Pictures.open(tmp_path / "ids.npy").first(2).batches(8, "nchw", ids.dtype))
    assert batch.dtype == ids.dtype
    assert np.array_equal(batch, ids[:2])


def test_missing_places_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.npz"):
        Pictures.open(tmp_path / "gone.npz")
    with pytest.raises(InputError, match="no image files"):
        Pictures.open(tmp_path)

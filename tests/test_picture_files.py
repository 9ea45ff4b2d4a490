"""What image files may hold, and what of it becomes pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sparqsim import InputError
from sparqsim.networks.images.decode import read_picture

image = pytest.importorskip("PIL.Image", reason="needs the extra 'onnx' (pillow)")

RANDOM = np.random.default_rng(6)
GREY_16 = RANDOM.integers(0, 65536, (5, 7)).astype(np.uint16)
RGB = RANDOM.integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_of_16_bits_the_upper_8_are_used(tmp_path: Path, suffix: str) -> None:
    image.fromarray(GREY_16).save(tmp_path / f"g.{suffix}")
    pixels = read_picture(tmp_path / f"g.{suffix}")
    assert pixels.tolist() == [[[value // 256] * 3 for value in row] for row in GREY_16.tolist()]


@pytest.mark.parametrize(("mode", "words"), [("I", "32-bit integers"), ("F", "real numbers")])
def test_pixels_without_a_stated_white_are_refused(tmp_path: Path, mode: str, words: str) -> None:
    image.fromarray(RGB).convert("L").convert(mode).save(tmp_path / "g.tif")
    with pytest.raises(InputError, match=rf"g\.tif: its pixels are {words}.*expected 8 or 16 bits"):
        read_picture(tmp_path / "g.tif")


#: What a viewer does to the stored pixels, by the orientation in the EXIF data.
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: stored[::-1].transpose(1, 0, 2),
    7: lambda stored: stored[::-1, ::-1].transpose(1, 0, 2),
    8: lambda stored: stored[:, ::-1].transpose(1, 0, 2),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_pictures_stand_upright(tmp_path: Path, orientation: int) -> None:
    exif = image.Exif()
    exif[0x0112] = orientation
    image.fromarray(RGB).save(tmp_path / "p.png", exif=exif)
    assert np.array_equal(read_picture(tmp_path / "p.png"), UPRIGHT[orientation](RGB))


def test_opaque_pictures_lose_their_alpha_and_others_are_refused(tmp_path: Path) -> None:
    opaque = np.dstack([RGB, np.full((5, 7), 255, np.uint8)])
    image.fromarray(opaque).save(tmp_path / "p.png")
    assert np.array_equal(read_picture(tmp_path / "p.png"), RGB)
    opaque[2, 3, 3] = 254
    image.fromarray(opaque).save(tmp_path / "p.png")
    with pytest.raises(InputError, match=r"p\.png: has transparent pixels"):
        read_picture(tmp_path / "p.png")


def test_palettes_give_their_colours(tmp_path: Path) -> None:
    picture = image.fromarray(RGB).quantize(4)
    picture.save(tmp_path / "p.png")
    palette = np.array(picture.getpalette()[: 4 * 3]).reshape(-1, 3)
    assert np.array_equal(read_picture(tmp_path / "p.png"), palette[np.asarray(picture)])


def test_pictures_that_move_are_refused(tmp_path: Path) -> None:
    first, second = image.fromarray(RGB), image.fromarray(RGB[::-1].copy())
    first.save(tmp_path / "p.tif", save_all=True, append_images=[second])
    with pytest.raises(InputError, match=r"p\.tif: holds 2 frames, expected one picture"):
        read_picture(tmp_path / "p.tif")


def test_pixels_are_bounded_before_they_are_decoded(tmp_path: Path) -> None:
    image.fromarray(RGB).save(tmp_path / "p.png")
    assert read_picture(tmp_path / "p.png", 35).shape == (5, 7, 3)
    with pytest.raises(InputError, match=r"has 5x7 pixels, expected at most 34 \(--max-pixels"):
        read_picture(tmp_path / "p.png", 34)
    assert image.MAX_IMAGE_PIXELS is not None


def test_resized_pictures_are_bounded_too() -> None:
    from sparqsim.networks.preprocess import Preprocess

    strip = np.zeros((1, 400, 3), np.uint8)
    with pytest.raises(InputError, match="to 300x120000 pixels, expected at most 1000000"):
        Preprocess.parse("resize:300", 1_000_000).apply(strip, "nhwc", np.dtype(np.float32))


def test_a_picture_is_read_by_no_other_program(tmp_path: Path) -> None:
    """PostScript is a program; Pillow would hand it to an interpreter, whatever the file is
    called.
    """
    (tmp_path / "p.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(InputError, match="not a readable picture"):
        read_picture(tmp_path / "p.png")


@pytest.mark.parametrize(
    "spec",
    ["resize:8 crop:4 scale:1/255", "resize:8,crop:4,scale:1/255", "resize:8, crop:4, scale:1/255"],
)
def test_steps_are_separated_by_commas_or_spaces(spec: str) -> None:
    from sparqsim.networks.preprocess import Preprocess

    steps = Preprocess.parse(spec)
    assert (len(steps.geometry), len(steps.values)) == (2, 1)


@pytest.mark.parametrize(
    "number",
    ["1e999999999", "9" * 5000, "٣", "1_0", "nan", "1/0", "0x1", "²", "1e-60/1", "", "1/2/3"],
)
def test_numbers_of_steps_are_plain_and_bounded(number: str) -> None:
    from sparqsim.networks.preprocess import Preprocess

    with pytest.raises(InputError, match=r"such as 0.5 or 1/255"):
        Preprocess.parse(f"scale:{number}")

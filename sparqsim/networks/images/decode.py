"""The one guarded way into an image file: 8-bit RGB pixels as seen, or one line that says why not.

| the file holds | what is done |
|---|---|
| grey, palette, RGB, YCbCr, CMYK, 8 bits or fewer | RGB, as Pillow converts it |
| 16 bits per channel | the upper 8 bits, for grey and colour alike |
| 32-bit integers, real numbers | refused: the file does not say which value is white |
| transparency | dropped where all pixels are opaque, else refused |
| a rotation or mirroring in its EXIF data | applied: pixels as a viewer shows them |
| several frames | refused; the preview in a camera's MPO file does not count |
| more pixels than `max_pixels` | refused before anything is decoded |
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.limits import PICTURE_PIXELS
from sparqsim.networks.images.optional import needed

if TYPE_CHECKING:
    from PIL.Image import Image

#: Pillow reads many more kinds, some of them with the help of other programs.
FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
#: Pillow's mode 'I' holds 32-bit integers, and the 16-bit grey of these formats.
GREY_16_AS_I = ("PNG", "PPM")


def read_picture(path: Path, max_pixels: int | None = None) -> NDArray[np.uint8]:
    """Return the RGB pixels of an image file, uint8 (height, width, 3).

    Raises
    ------
    InputError
        For a file that is no picture, or one whose pixels have no 8-bit meaning.
    """
    image = needed("PIL.Image", "onnx")
    most_pixels = PICTURE_PIXELS.most if max_pixels is None else max_pixels
    try:
        with _quiet(image), image.open(path, formats=FORMATS) as opened:
            _check_size(opened, most_pixels)
            upright = needed("PIL.ImageOps", "onnx").exif_transpose(opened)
            return np.asarray(_rgb(upright, opened.format or "", image))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:  # noqa: BLE001 - decoders fail in many ways on a broken file
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        raise InputError(f"{path}: not a readable picture ({reason})") from None


@contextmanager
def _quiet(image: Any) -> Iterator[None]:
    """Keep Pillow from warning, and from bounding pixels by a number that users cannot set here."""
    before = image.MAX_IMAGE_PIXELS
    image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        image.MAX_IMAGE_PIXELS = before


def _check_size(opened: Image, max_pixels: int) -> None:
    if opened.width * opened.height > max_pixels:
        raise InputError(
            f"has {opened.height}x{opened.width} pixels, expected at most {max_pixels} "
            "(--max-pixels raises it)"
        )
    frames = getattr(opened, "n_frames", 1)
    if frames != 1 and opened.format != "MPO":
        raise InputError(f"holds {frames} frames, expected one picture per file")


def _rgb(picture: Image, file_format: str, image: Any) -> Image:
    """Return the picture in 8-bit RGB."""
    if picture.mode.startswith("I;16") or (picture.mode == "I" and file_format in GREY_16_AS_I):
        upper = (np.asarray(picture).astype(np.int64) >> 8).astype(np.uint8)
        return _converted(image.fromarray(upper))
    if picture.mode in ("I", "F"):
        kind = "32-bit integers" if picture.mode == "I" else "real numbers"
        raise InputError(
            f"its pixels are {kind}, and nothing says which value is white; expected 8 or 16 bits "
            "per channel, or an .npy file of what the network takes"
        )
    if picture.has_transparency_data:
        lowest, _ = picture.convert("RGBA").getchannel("A").getextrema()
        if lowest < 255:  # type: ignore[operator]  # one channel has one number
            raise InputError(
                "has transparent pixels, whose colour depends on what is behind them; expected an "
                "opaque picture"
            )
    return _converted(picture)


def _converted(picture: Image) -> Image:
    return picture.convert("RGB")

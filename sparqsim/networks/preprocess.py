"""What is done to a picture before a network sees it.

A spec such as

    resize:256,crop:224,scale:1/255,mean:0.485:0.456:0.406,std:0.229:0.224:0.225

| step | what it does |
|---|---|
| `resize:N` | short side to N pixels (bilinear, antialiased), the other in proportion |
| `resize:HxW` | to exactly H x W pixels |
| `crop:N`, `crop:HxW` | the N x N (H x W) pixels in the centre; an odd line stays below or right |
| `crop:0.875` | the centre square of that share of the short side |
| `scale:1/255` | multiply by a number or a fraction |
| `mean:A:B:C`, `std:A:B:C` | subtract, divide by, one number per channel or one for all |
| `order:rgb` or `bgr` | order of the channels (default rgb); `mean`, `std` are given in it |
| `layout:nchw` or `nhwc` | axes of the batch (default: what the kind of model uses) |

Steps are separated by commas or spaces. Pictures are cropped and resized first, then changed in
value, each in the order written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError, nearest
from sparqsim.base.limits import PICTURE_PIXELS

if TYPE_CHECKING:
    from PIL.Image import Image

Array = NDArray[Any]
Layout = Literal["nchw", "nhwc"]

#: What float32 holds, and what is cheap to read.
DECIMAL = r"([0-9]{1,12}(\.[0-9]{0,18})?|\.[0-9]{1,18})(e[+-]?[0-9])?"
NUMBER = re.compile(rf"[+-]?{DECIMAL}(/{DECIMAL})?", re.IGNORECASE)
STEPS = ("resize", "crop", "scale", "mean", "std", "order", "layout")


@dataclass(frozen=True)
class Preprocess:
    """A parsed spec.

    `spec`: as written. `geometry`, `values`: steps in order. `layout`: None where not given.
    """

    spec: str
    geometry: tuple[Callable[[Image], Image], ...] = ()
    values: tuple[Callable[[Array], Array], ...] = ()
    bgr: bool = False
    layout: Layout | None = None

    @classmethod
    def parse(cls, spec: str, max_pixels: int | None = None) -> Preprocess:
        """Return the steps of `spec`; '' changes nothing.

        Parameters
        ----------
        spec : str
        max_pixels : int, optional
            Of a resized picture. Default: `limits.PICTURE_PIXELS`.

        Raises
        ------
        InputError
            Naming the step and what is accepted.
        """
        most_pixels = PICTURE_PIXELS.most if max_pixels is None else max_pixels
        geometry, values, options = [], [], {"order": "rgb", "layout": ""}
        for step in filter(None, re.split(r"[,\s]+", spec)):
            name, _, argument = step.partition(":")
            if name in ("resize", "crop"):
                geometry.append(_geometry_step(step, name, argument, most_pixels))
            elif name in ("scale", "mean", "std"):
                values.append(_value_step(step, name, argument))
            elif name in options:
                options[name] = _choice(step, name, argument)
            else:
                raise InputError(
                    f"--preprocess step {step!r}: unknown{nearest(name, STEPS)}; "
                    f"expected one of {', '.join(STEPS)}"
                )
        layout: Any = options["layout"] or None
        return cls(spec, tuple(geometry), tuple(values), options["order"] == "bgr", layout)

    def apply(self, picture: Array, layout: Layout, dtype: np.dtype[Any]) -> Array:
        """Return one picture as a network takes it.

        Parameters
        ----------
        picture : uint8 (height, width, channels)
            RGB where there are three channels.
        layout : 'nchw' or 'nhwc'
            Where the spec names none.
        dtype : float32, float16, uint8 or int8
            What the network takes; int8 stands for uint8 - 128.

        Returns
        -------
        `dtype` (channels, height, width) or (height, width, channels)
        """
        if self.geometry:
            picture = self._reshaped(picture)
        if self.bgr:
            picture = picture[..., ::-1]
        result = self._valued(picture, dtype)
        return np.ascontiguousarray(
            result.transpose(2, 0, 1) if (self.layout or layout) == "nchw" else result
        )

    def _reshaped(self, picture: Array) -> Array:
        from PIL import Image

        if picture.shape[2] not in (1, 3):
            raise InputError(
                f"--preprocess {self.spec!r}: the picture has {picture.shape[2]} channels, "
                "expected 1 or 3 to resize or crop it"
            )
        grey = picture.shape[2] == 1
        image = Image.fromarray(picture[..., 0] if grey else picture)
        for step in self.geometry:
            image = step(image)
        return np.asarray(image)[..., None] if grey else np.asarray(image)

    def _valued(self, picture: Array, dtype: np.dtype[Any]) -> Array:
        if dtype in (np.float32, np.float16):
            result = picture.astype(np.float32)
            for step in self.values:
                result = step(result)
            return result.astype(dtype, copy=False)
        if dtype not in (np.uint8, np.int8):
            raise InputError(f"this network takes {dtype} values, expected one that takes pictures")
        if self.values:
            raise InputError(
                f"--preprocess {self.spec!r}: this network takes {dtype} pixels as they are, "
                "expected no scale, mean or std"
            )
        return picture if dtype == np.uint8 else (picture.astype(np.int16) - 128).astype(np.int8)


def _geometry_step(
    step: str, name: str, argument: str, max_pixels: int
) -> Callable[[Image], Image]:
    if name == "crop" and "." in argument:
        share = _numbers(step, argument, counts=(1,))[0]
        if not 0 < share <= 1:
            raise InputError(
                f"--preprocess step {step!r}: expected a share above 0 and up to 1, or pixels"
            )
        return lambda image: _cropped(image, *[max(1, round(share * min(image.size)))] * 2)
    sizes = argument.split("x")
    numbers = [
        int(size) if size.isascii() and size.isdigit() and len(size) < 6 else 0 for size in sizes
    ]
    if len(sizes) > 2 or not all(0 < number <= 16384 for number in numbers):
        raise InputError(
            f"--preprocess step {step!r}: expected {name}:N or {name}:HxW, 1 to 16384 pixels"
        )
    height, width = numbers[0], numbers[-1]
    if name == "crop":
        return lambda image: _cropped(image, height, width)
    if len(sizes) == 2:
        return lambda image: _resized(image, height, width, max_pixels)
    return lambda image: _short_side_to(image, height, max_pixels)


def _cropped(image: Image, height: int, width: int) -> Image:
    if image.width < width or image.height < height:
        raise InputError(
            f"--preprocess crop: the picture has {image.height}x{image.width} pixels, "
            f"expected at least {height}x{width}: resize it first"
        )
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _resized(image: Image, height: int, width: int, max_pixels: int) -> Image:
    from PIL.Image import Resampling

    if height * width > max_pixels:
        raise InputError(
            f"--preprocess resize: from {image.height}x{image.width} to {height}x{width} pixels, "
            f"expected at most {max_pixels} (--max-pixels raises it)"
        )
    return image.resize((width, height), Resampling.BILINEAR)


def _short_side_to(image: Image, size: int, max_pixels: int) -> Image:
    short = min(image.size)
    height, width = (max(1, side * size // short) for side in (image.height, image.width))
    return _resized(image, height, width, max_pixels)


def _value_step(step: str, name: str, argument: str) -> Callable[[Array], Array]:
    numbers = np.asarray(_numbers(step, argument, (1,) if name == "scale" else (1, 3)), np.float32)
    if name == "scale":
        return lambda values: values * numbers
    if name == "mean":
        return lambda values: values - numbers
    if not numbers.all():
        raise InputError(f"--preprocess step {step!r}: division by zero, expected other numbers")
    return lambda values: values / numbers


def _numbers(step: str, argument: str, counts: Sequence[int]) -> list[float]:
    parts = argument.split(":")
    if len(parts) not in counts or not all(map(NUMBER.fullmatch, parts)):
        raise InputError(
            f"--preprocess step {step[:80]!r}: expected {' or '.join(map(str, counts))} numbers, "
            "separated by ':', such as 0.5 or 1/255"
        )
    return [_number(step, part) for part in parts]


def _number(step: str, text: str) -> float:
    numerator, _, denominator = text.partition("/")
    if denominator and not float(denominator):
        raise InputError(
            f"--preprocess step {step!r}: division by zero, expected a number such as 0.5 or 1/255"
        )
    return float(Fraction(numerator) / Fraction(denominator or "1"))


def _choice(step: str, name: str, argument: str) -> str:
    accepted = {"order": ("rgb", "bgr"), "layout": ("nchw", "nhwc")}[name]
    if argument not in accepted:
        raise InputError(f"--preprocess step {step!r}: expected {name}:{' or '.join(accepted)}")
    return argument

"""Broken and odd pictures: every mode and format that Pillow writes, cut, flipped, rotated,
moving.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from _arrays import flipped

Random = np.random.Generator
#: Format, modes that it holds.
WRITTEN = (
    ("PNG", ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    ("TIFF", ("1", "L", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "LAB", "YCbCr")),
    ("JPEG", ("L", "RGB", "CMYK")),
    ("BMP", ("1", "L", "P", "RGB")),
    ("WEBP", ("RGB", "RGBA")),
    ("PPM", ("1", "L", "RGB", "I")),
    ("GIF", ("P",)),
)
SUFFIXES = {"TIFF": "tif", "JPEG": "jpg", "PPM": "ppm", "GIF": "png"}


def run(file: Path) -> None:
    """Read the picture as a network would."""
    from sparqsim.networks.images import Pictures

    list(Pictures.open(file.parent, "resize:8x8 scale:1/255").batches(1, "nchw"))


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield (file name, content) of `count` pictures."""
    random = np.random.default_rng(seed)
    for number in range(count):
        form, modes = WRITTEN[int(random.integers(len(WRITTEN)))]
        content = _written(form, str(random.choice(modes)), random)
        how = random.random()
        if how < 0.3:
            content = flipped(content, random)
        elif how < 0.4:
            content = content[: int(random.integers(len(content)))]
        elif how < 0.45:
            content = _large_header(content)
        yield f"p_{seed}_{number}.{SUFFIXES.get(form, form.lower())}", content


def _written(form: str, mode: str, random: Random) -> bytes:
    from PIL import Image

    pixels = random.integers(0, 256, (7, 9, 3), dtype=np.uint8)
    if mode == "I;16":
        picture = Image.fromarray(random.integers(0, 65536, (7, 9)).astype(np.uint16))
    elif mode == "LAB":
        picture = Image.frombytes("LAB", (9, 7), pixels.tobytes())
    else:
        picture = Image.fromarray(pixels).convert(mode)
    settings: dict[str, Any] = {}
    if random.random() < 0.2:
        exif = Image.Exif()
        exif[0x0112] = int(random.integers(0, 12))
        settings["exif"] = exif
    if form in ("TIFF", "WEBP", "GIF") and random.random() < 0.2:
        settings |= {"save_all": True, "append_images": [picture]}
    stream = io.BytesIO()
    picture.save(stream, form, **(settings if form not in ("BMP", "PPM") else {}))
    return stream.getvalue()


def _large_header(content: bytes) -> bytes:
    """Return a PNG whose header announces 2^30 pixels a side; other formats as they are."""
    import zlib

    if not content.startswith(b"\x89PNG"):
        return content
    header = b"IHDR" + (2**30).to_bytes(4, "big") * 2 + content[24:29]
    return content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:]

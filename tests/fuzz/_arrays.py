"""Broken arrays and labels: what `npy_arrays`, `npz_arrays` and `label_files` draw from; bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import numpy as np

Random = np.random.Generator
#: What somebody may write where a number is expected.
NUMERALS = (
    "9" * 5000,
    "-1",
    "-0",
    "+1",
    "1_0",
    "²",
    "٣",
    "1e3",
    "0x1",
    "1.0",
    "",
    " 1 ",
    "nan",
    "\0",
    "1\0",
    "2147483648",
    "99999999999999999999",
    "½",
)
#: Two pictures.
SOUND = np.arange(2 * 3 * 12 * 12, dtype=np.float32).reshape(2, 3, 12, 12)
HEADERS = (
    "{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 3), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 3), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (True, 432), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",), }",
    "{'descr': [('a', 'u1', (1000000000,))], 'fortran_order': False, 'shape': (2,), }",
    "{'descr': '<U9', 'fortran_order': False, 'shape': (12,), }",
    "{'descr': '<c8', 'fortran_order': False, 'shape': (2, 3), }",
    "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (2, 3), }",
    "{'descr': '|V3', 'fortran_order': False, 'shape': (2, 3), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': 4L, }",
    "{'descr': '<f4', 'shape': (2, 3), }",
    "{'descr': __import__('os'), 'fortran_order': False, 'shape': (2, 3), }",
    "(" * 900,
    "'''",
    "",
    "x" * 70000,
)


def npy_mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of `count` broken .npy files."""
    random = np.random.default_rng(seed)
    yield "sound.npy", _saved(SOUND)
    for number in range(1, count):
        yield f"npy_{seed}_{number}.npy", _npy(random)


def npz_mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of `count` broken .npz files."""
    random = np.random.default_rng(seed)
    labels = np.arange(len(SOUND))
    yield "sound.npz", _zipped({"images.npy": _saved(SOUND), "labels.npy": _saved(labels)})
    for number in range(1, count):
        content = _archive(random)
        how = random.random()
        if how < 0.4:
            content = flipped(content, random)
        elif how < 0.5:
            content = content[: int(random.integers(len(content)))]
        yield f"npz_{seed}_{number}.npz", content


def label_mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of `count` label files, .csv and .npy; pictures are p0.png, p1.png."""
    random = np.random.default_rng(seed)
    yield "sound.csv", b"p0.png,0\np1.png,1\n"
    for number in range(1, count):
        if random.random() < 0.3:
            yield f"labels_{seed}_{number}.npy", _label_array(random)
        else:
            yield f"labels_{seed}_{number}.csv", _label_text(random)


def _npy(random: Random) -> bytes:
    how = random.random()
    if how < 0.35:
        return _with_header(str(random.choice(HEADERS)), random)
    sound = _saved(_values(random))
    if how < 0.6:
        return flipped(sound, random, among=128)
    if how < 0.7:
        return sound[: int(random.integers(len(sound)))]
    if how < 0.75:
        return sound + b"more"
    return sound


def _with_header(text: str, random: Random) -> bytes:
    body = text.encode().ljust(118, b" ") + b"\n"
    magic = b"\x93NUMPY" + (b"\1\0" if random.random() < 0.8 else b"\3\0")
    return magic + (len(body) % 65536).to_bytes(2, "little") + body + bytes(1728)


def _values(random: Random) -> np.ndarray:
    """Return an array of any type and shape, with values at the limits."""
    shapes = ((2, 3, 12, 12), (2, 12, 12, 3), (2, 8), (3, 8), (0, 4), (4,), (), (2, 2, 6, 6))
    shape = shapes[int(random.integers(len(shapes)))]
    types = ["u1", "i1", "<i2", "<u8", ">i8", "<f2", "<f4", ">f4", "<f8", "<f16", "<c8", "?", "<U3"]
    dtype = np.dtype(types[int(random.integers(len(types)))])
    values = np.asarray(random.integers(0, 5, shape)).astype(dtype)
    if values.size and dtype.kind == "f" and random.random() < 0.5:
        worst = random.choice([np.nan, np.inf, -np.inf, 1e300, 1e-300, 3e38])
        with np.errstate(over="ignore"):
            values.flat[0] = worst
    return np.asfortranarray(values) if random.random() < 0.2 else values


def _saved(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def flipped(content: bytes, random: Random, among: int | None = None) -> bytes:
    """Return bytes with one to three of the first `among` (default: of all) replaced."""
    broken = bytearray(content)
    for _ in range(int(random.integers(1, 4))):
        broken[int(random.integers(min(among or len(broken), len(broken))))] = int(
            random.integers(256)
        )
    return bytes(broken)


def _archive(random: Random) -> bytes:
    names = ("images.npy", "labels.npy", "images", "x.npy", "../images.npy", "a\0b.npy", "é.npy")
    count = int(random.integers(0, 4))
    chosen = random.permutation(names)[:count] if random.random() < 0.4 else names[:2]
    contents = {str(name): _npy(random) for name in chosen}
    if random.random() < 0.5:
        contents["images.npy"] = _saved(SOUND)
    return _zipped(contents, compressed=random.random() < 0.5)


def _zipped(contents: dict[str, bytes], *, compressed: bool = False) -> bytes:
    stream = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _label_array(random: Random) -> bytes:
    if random.random() < 0.4:
        return _npy(random)
    limits = [0, 1, -1, 2**31, 2**62, -(2**63)]
    values = random.choice(limits, int(random.integers(0, 4)))
    return _saved(values.astype(random.choice(["<i8", "<u8", "<i2", "<f4"])))


def _label_text(random: Random) -> bytes:
    first, second = (str(random.choice(NUMERALS)) for _ in range(2))
    texts = (
        f"file,class\np0.png,{first}\np1.png,1\n",
        f"p0.png,{first}\np1.png,{second}\n",
        f"class,file\n{first},p0.png\n1,p1.png\n",
        "p0.png\np1.png\n",
        "p0.png,1\np0.png,2\np1.png,1\n",
        '"p0.png,1\np1.png,1\n',
        "\n\n\n",
        "p0.png,1,extra\n p1.png , 1 \n",
        "x" * 200_000 + ",1\n",
    )
    content = str(random.choice(texts)).encode()
    how = random.random()
    if how < 0.1:
        return b"\xef\xbb\xbf" + content
    if how < 0.2:
        return content.decode().encode("utf-16")
    return flipped(content, random) if how < 0.4 and content else content

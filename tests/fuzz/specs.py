"""What a user types for designs, transforms, arrays and their settings: words of a command line."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

from _mutate import NUMBERS, TEXTS
from _sound import trace

from sparqsim.base.errors import InputError, printable

#: How each word is taken, with one that is sound.
SOUND = {
    "design": "sparq-5opt:rounding=trim,pairing=off",
    "designs": "mac-8b8b,swis:shifts=target:3.25,laconic:lanes=4",
    "transform": "requantise:weights=4,activations=3,kept=include",
    "array": "4x8",
    "coupling": "elastic:2",
    "calibrator": "percentile:99.9",
    "preprocess": "resize:8x8 crop:4x4 scale:1/255",
}


def run(file: Path) -> None:
    """Take the word as its option does; lines of refusals are printable, as the driver checks."""
    what, _, word = file.read_bytes().decode(errors="surrogateescape").partition("\n")
    try:
        _taken(what, word)
    except InputError as error:
        raise InputError(printable(" ".join(str(error).split()))) from None


def _taken(what: str, word: str) -> None:
    import sparqsim
    from sparqsim.cli.options import split_designs
    from sparqsim.networks.preprocess import Preprocess
    from sparqsim.quantise.calibrate import calibrator
    from sparqsim.trace.transforms import transform

    if what == "array":
        sparqsim.ArrayConfig.parse(word)
    elif what == "coupling":
        sparqsim.ArrayConfig(2, 3, coupling=word)
    elif what == "calibrator":
        calibrator(word)
    elif what == "preprocess":
        Preprocess.parse(word)
    elif what == "transform":
        transform(trace(), [word])
    else:
        names = split_designs(word) if what == "designs" else [word]
        for name in names:
            sparqsim.get_pe(name)


def mutations(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    rng = random.Random(seed)
    for number, (what, word) in enumerate(SOUND.items()):
        yield f"sound{number}", _encoded(what, word)
    for number in range(len(SOUND), count):
        what = rng.choice(list(SOUND))
        yield f"m{number}", _encoded(what, _altered(rng, SOUND[what]))


def _encoded(what: str, word: str) -> bytes:
    return f"{what}\n{word}".replace("\0", "").encode(errors="surrogatepass")


def _altered(rng: random.Random, word: str) -> str:
    at, end = sorted(rng.randrange(len(word) + 1) for _ in range(2))
    kind = rng.randrange(5)
    if kind == 0:
        return word[:at] + word[end:]
    if kind == 1:
        return word[:end] + word[at:]
    odd = rng.choice(TEXTS) if kind == 2 else str(rng.choice(NUMBERS))
    if kind == 3:
        odd = rng.choice((":", "=", ",", "x", "@", " ", ";", "/", ".py:", "%s", "\n", "\udcff"))
    return word[:at] + odd + word[end:] if kind < 4 else word[:at] + odd + word[at:]

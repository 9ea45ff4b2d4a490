"""Options of commands that open a network, and what they describe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sparqsim.networks.images import Pictures
    from sparqsim.quantise.recipe import Recipe

#: How scales are found where neither a flag nor a recipe says it.
CALIBRATOR = "mean-max"
Images = Annotated[
    str,
    typer.Option("--images", metavar="DIR|FILE", help="Directory of pictures, or .npz/.npy file."),
]
Steps = Annotated[
    str,
    typer.Option(
        "--preprocess",
        metavar="SPEC",
        help="Steps, joined by commas, or by spaces in quotes: e.g. 'resize:256 crop:224 "
        "scale:1/255 mean:0.485:0.456:0.406 std:0.229:0.224:0.225 order:rgb layout:nchw'.",
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        metavar="N",
        min=1,
        max=10**12,
        help="Pixels of one picture, at most; a larger one is refused before it is decoded. "
        "Default: 100,000,000.",
    ),
]
Calibrate = Annotated[
    str | None,
    typer.Option(
        "--calibrate",
        metavar="NAME",
        help="How activation scales are found: mean-max, max, percentile:P, mse, lp:P, or "
        "FILE.py:CLASS.",
        show_default=CALIBRATOR,
    ),
]
RecipeFile = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="FILE",
        help="TOML file that says how the network becomes integers: calibrator, weight quantiser, "
        "kept layers, layer by layer; in the place of --calibrate, --keep-8bit, --calibrate-on.",
        show_default=False,
    ),
]
Quantised = Annotated[
    str | None,
    typer.Option(
        "--quantised",
        metavar="FILE",
        help="What `sparqsim quantise` wrote of the network: its integers and scales are taken, "
        "and nothing is measured.",
        show_default=False,
    ),
]
Skip = Annotated[
    str, typer.Option("--skip", metavar="A,B", help="Nodes or operators to leave out of the trace.")
]
Keep = Annotated[
    str | None,
    typer.Option(
        "--keep-8bit",
        metavar="A,B",
        help="Layers that stay at 8 bits ('' for none). [default: first convolution, last layer]",
        show_default=False,
    ),
]
Scheme = Annotated[
    str,
    typer.Option(
        "--scheme", metavar="NAME", help="Which list of --bits, where the file holds several."
    ),
]

Batch = Annotated[
    int | None,
    typer.Option(
        "--batch",
        metavar="N",
        min=1,
        help="Pictures that an ONNX network runs at a time. [default: as many as it fixes, else 8, "
        "else 1 where a batch would mix pictures]",
        show_default=False,
    ),
]


def opened_recipe(path: str | None, flags: Mapping[str, object], *, trust: bool) -> Recipe | None:
    """Return the recipe of a file that --recipe names; None where none is.

    Raises
    ------
    InputError
        For one of `flags` beside it, which the recipe says.
    """
    from sparqsim.quantise.recipe import Recipe

    check_alone("--recipe", path, flags)
    if path is None:
        return None
    return Recipe.read(path, trust=trust)


def check_alone(option: str, path: str | None, flags: Mapping[str, object]) -> None:
    """Raise InputError for one of `flags` beside an option whose file says it."""
    from sparqsim.base.errors import InputError

    for flag, value in flags.items():
        if path is not None and value is not None:
            raise InputError(
                f"{flag} {value} beside {option} {path}, which says it; expected one of the two"
            )


def calibration_pictures(pictures: Pictures, first: int | None, recipe: Recipe | None) -> Pictures:
    """Return the pictures that scales are found on: the recipe's number of all, else the first."""
    stated = None if recipe is None else recipe.calibration.pictures
    return pictures.first(first) if stated is None else pictures


def known_classes(pictures: Pictures, labels: str | None, offset: int) -> NDArray[np.int64] | None:
    """Return the classes of pictures: of a file of labels, else their own; None where not known.

    `offset`: of the file's numbers.
    """
    from sparqsim.networks.images.labels import checked_classes, load_labels

    classes = pictures.labels if labels is None else load_labels(labels, pictures.names)
    return None if classes is None else checked_classes(classes, labels or "labels", offset)


def names(text: str) -> tuple[str, ...]:
    """Return the comma-separated names of an option."""
    return tuple(filter(None, (name.strip() for name in text.split(","))))

"""`sparqsim quantise`: a network's integers and scales, found once and kept in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparqsim.cli.network_options import Batch, Images, MaxPixels, Skip, Steps, names
from sparqsim.cli.options import Format, Model, Trust

if TYPE_CHECKING:
    from sparqsim.cli.tables import Shown
    from sparqsim.networks.site import Site

Target = Annotated[
    str,
    typer.Option("-o", "--output", metavar="FILE", help="File to write (.safetensors)."),
]
Labels = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="Classes of the pictures, for recipes that ask for true labels: .csv or .npy. "
        "[default: those in the .npz, else none]",
        show_default=False,
    ),
]
Recipe_ = Annotated[
    str,
    typer.Option("--recipe", metavar="FILE", help="TOML file: how the network becomes integers."),
]


def quantise(
    model: Model,
    images: Images,
    recipe: Recipe_,
    output: Target,
    preprocess: Steps = "",
    max_pixels: MaxPixels = None,
    labels: Labels = None,
    skip: Skip = "",
    batch: Batch = None,
    format_: Format = "table",
    trust: Trust = False,
) -> None:
    """Quantise a network by a recipe, and save integers and scales: `trace dump` and `accuracy`
    take the file with --quantised, and measure nothing.
    """
    from dataclasses import replace

    from sparqsim.base.files import check_outputs
    from sparqsim.cli.progress import steps_bar
    from sparqsim.cli.tables import checked_format, show
    from sparqsim.networks.images import Pictures
    from sparqsim.networks.images.labels import checked_classes, load_labels
    from sparqsim.networks.modelfiles import quantise as quantised
    from sparqsim.quantise.recipe import Recipe

    checked_format(format_)
    check_outputs({"-o": output}, [model, images, recipe, labels])
    read = Recipe.read(recipe, trust=trust)
    pictures = Pictures.open(images, preprocess, max_pixels)
    if labels is not None:
        classes = checked_classes(load_labels(labels, pictures.names), labels, 0)
        pictures = replace(pictures, labels=classes)
    with steps_bar() as progress:
        sites = quantised(
            model,
            pictures,
            output,
            read,
            skip=names(skip),
            batch=batch,
            progress=progress,
        )
    show(_shown(sites, read.title, output), format_)


def _shown(sites: tuple[Site, ...], title: str, target: str) -> Shown:
    """Return what was saved, layer by layer."""
    from sparqsim.base.errors import printable
    from sparqsim.base.wording import counted
    from sparqsim.cli.cells import json_text
    from sparqsim.cli.tables import Shown, Table

    rows = [_row(site) for site in sites]
    table = Table(
        f"{target}: {counted(len(sites), 'layer')}",
        ["layer", "op", "weight\nbits", "columns", "activation\nscale", "8-bit\nkept"],
        text=True,
    )
    for row in rows:
        table.add_row(
            printable(row["layer"]),
            row["op"],
            "-" if row["weight_bits"] is None else str(row["weight_bits"]),
            "-" if row["columns"] is None else str(row["columns"]),
            f"{row['activation_scale']:.4g}",
            "yes" if row["kept_8bit"] else "",
        )
    return Shown(
        "",
        [table],
        printable(f"Recipe: {title}."),
        lambda: rows,
        lambda: json_text({"quantised": target, "recipe": title, "layers": rows}),
    )


def _row(site: Site) -> dict[str, Any]:
    weights = site.weights
    return {
        "layer": site.name,
        "op": site.op,
        "weight_bits": None if weights is None else weights.bits,
        "columns": None if weights is None else len(weights.codes),
        "activation_scale": site.activation.scale,
        "signed": site.activation.signed,
        "kept_8bit": site.keep_8bit,
        "accumulator_bits": site.accumulator_bits,
    }

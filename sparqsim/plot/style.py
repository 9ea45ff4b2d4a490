"""One style for every figure, and the one way a figure reaches a file.

Colours are those of Okabe and Ito (2008), safe for the colour-blind, and tints of them, plus greys
for the conventional arrays; hatches and marks tell designs apart where colour is lost in print. A
design looks the same in every figure.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from sparqsim.base.errors import InputError, nearest, printable
from sparqsim.base.files import replaced
from sparqsim.plot.glyphs import FONT, make_drawable

FORMATS = ("svg", "pdf", "png")
#: One column and the whole page of a two-column paper: what fits those of both IEEE (3.5, 7.16) and
#: ACM (3.33, 7.0).
WIDTHS_INCHES = {"column": 3.3, "page": 7.0}
POINTS_PER_INCH = 72
#: What fits a page of either, its margins and a line of caption left out.
MOST_HEIGHT_INCHES = 9.0
#: Designs that fit such a page; more of them make a figure taller in proportion.
DESIGNS_OF_A_PAGE = 12
FONT_POINTS = 7.0
SMALL_POINTS = 6.0
#: Of letters' size.
LINE_HEIGHT = 1.3
INK = "#222222"
PALE = "#ececec"
#: Red, green and blue of a pale colour, each 0 to 1, add up to more.
PALE_SUM = 2.0

SETTINGS: dict[str, Any] = {
    "text.parse_math": False,
    "font.family": FONT,
    "font.size": FONT_POINTS,
    "axes.titlesize": FONT_POINTS,
    "axes.labelsize": FONT_POINTS,
    "xtick.labelsize": SMALL_POINTS,
    "ytick.labelsize": SMALL_POINTS,
    "legend.fontsize": SMALL_POINTS,
    "legend.title_fontsize": SMALL_POINTS,
    "figure.titlesize": FONT_POINTS,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.5,
    "patch.linewidth": 0.3,
    "hatch.linewidth": 0.4,
    "lines.linewidth": 0.8,
    "xtick.major.width": 0.5,
    "ytick.major.width": 0.5,
    "xtick.major.size": 2,
    "ytick.major.size": 2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid.axis": "y",
    "grid.color": "#d8d8d8",
    "grid.linewidth": 0.4,
    "savefig.dpi": 200,
    "figure.dpi": 200,
    # Outlines, not text: a reader without the font sees the same figure. TrueType, not Type 3:
    # publishers ask for it.
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    # Element names derive from this, not from chance: equal figures give equal bytes.
    "svg.hashsalt": "sparqsim",
}


#: A letter of matplotlib's, or (points, 1, degrees): a star.
Marker = str | tuple[int, Literal[1], int]


@dataclass(frozen=True)
class Look:
    """How a design, or class of cycles, is drawn: fill colour, hatch, mark in scatter plots."""

    color: str
    hatch: str = ""
    marker: Marker = "o"


LOOKS = {
    "mac-8b8b": Look("#4d4d4d", "", "s"),
    "mac-4b8b": Look("#999999", "", "D"),
    "mac-4b4b": Look("#d9d9d9", "", "d"),
    "mac-2x8b8b": Look("#737373", "....", "p"),
    "sparq-5opt": Look("#0072b2", "", "o"),
    "sparq-3opt": Look("#56b4e9", "////", "^"),
    "sparq-2opt": Look("#c6e4f7", "\\\\\\\\", "v"),
    "sparq-6opt": Look("#009e73", "", "<"),
    "sparq-7opt": Look("#8fd6c0", "----", ">"),
    "sparq-exact": Look("#e69f00", "xxxx", "X"),
    "sysmt-2t": Look("#cc79a7", "OO", "P"),
    "sysmt-4t": Look("#ecc7dc", "++++", "h"),
    "smt-sa-2t": Look("#d55e00", "||||", "H"),
    "smt-sa-4t": Look("#f2b48a", "////", "8"),
    "stripes": Look("#332288", "", (3, 1, 0)),
    "serial-w": Look("#8f86c4", "||||", (3, 1, 180)),
    "loom": Look("#c9c5e6", "xxxx", (4, 1, 0)),
    "pragmatic": Look("#882255", "....", (4, 1, 45)),
    "laconic": Look("#c98fae", "----", (6, 1, 0)),
    "bitfusion": Look("#999933", "++++", (8, 1, 0)),
    "swis": Look("#c9b800", "oo", "*"),
    "olive-4b": Look("#6b6b2e", "--", (5, 1, 36)),
    "stc-sparq-5opt": Look("#003f66", "|||", (9, 1, 0)),
    "stc-sparq-3opt": Look("#2a7fb0", "|||", (5, 1, 0)),
    "stc-sparq-2opt": Look("#8cc4e4", "|||", (3, 1, 90)),
    "mac-mxint8": Look("#7a3b00", "//", (7, 1, 0)),
    "mac-mxfp4": Look("#b97a3d", "oo", (7, 1, 90)),
    "mac-w4a8": Look("#e6c7a3", "//", (10, 1, 0)),
}
SPARE_LOOKS = tuple(
    Look(color, hatch, marker)
    for (hatch, marker), color in product(
        (("oo", "*"), ("|||", "o"), ("xx", "s"), ("...", "^"), ("", "D"), ("--", "v")),
        ("#f0e442", "#a6761d", "#666666", "#66c2a5", "#8da0cb", "#fb9a99"),
    )
)

CYCLE_LOOKS = {
    "compute": Look("#0072b2"),
    "fill": Look("#c6e4f7", "////"),
    "drain": Look("#999999", "\\\\\\\\"),
    "pe_stall": Look("#e69f00", "xxxx"),
    "memory_stall": Look("#d55e00", "...."),
}


ENERGY_LOOKS = {
    "switching": Look("#0072b2"),
    "internal": Look("#c6e4f7", "////"),
    "clock": Look("#e69f00"),
    "leakage": Look("#4d4d4d"),
    "edge": Look("#009e73", "\\\\\\\\"),
    "sram": Look("#d9d9d9", "...."),
    "dram": Look("#d55e00", "xxxx"),
}


def looks_of(specs: Sequence[str]) -> dict[str, Look]:
    """Return a look for each design; a known one has its own, others take spares in order."""
    spare = iter(SPARE_LOOKS * (1 + len(specs) // len(SPARE_LOOKS)))
    looks: dict[str, Look] = {}
    for spec in specs:
        own = LOOKS.get(spec.partition(":")[0])
        looks[spec] = own if own and own not in looks.values() else next(spare)
    return looks


def line_color(look: Look) -> tuple[float, ...]:
    """Return the design's colour, darkened where a thin line of it would be lost on white."""
    color, ink = to_rgb(look.color), to_rgb(INK)
    share = 0.4 if sum(color) > PALE_SUM else 0.0
    return tuple((1 - share) * one + share * other for one, other in zip(color, ink, strict=True))


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with this module's settings, whatever the user's matplotlib is set to."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)  # type: ignore[arg-type]  # keys are literals there
        yield


class HouseFigure(Figure):
    """A figure in the house style whose texts can be drawn, whatever file they come from.

    notes: what stands below it, one entry a note. most_inches: how tall it may grow.
    """

    notes: tuple[str, ...] = ()
    most_inches: float = MOST_HEIGHT_INCHES

    def draw(self, renderer: RendererBase) -> None:
        """Draw it."""
        with house_style():
            make_drawable(self)
            super().draw(renderer)

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows, also where `matplotlib.pyplot` was never imported."""
        picture = io.BytesIO()
        with house_style():
            self.savefig(picture, format="png")
        return picture.getvalue()


def most_height_inches(designs: int) -> float:
    """Return how tall a figure of so many designs may be: a page, more beyond a dozen."""
    return MOST_HEIGHT_INCHES * max(1.0, designs / DESIGNS_OF_A_PAGE)


def new_figure(width: str, height_inches: float, most_inches: float = MOST_HEIGHT_INCHES) -> Figure:
    """Return an empty figure of a width named in `WIDTHS_INCHES`, at most `most_inches` tall.

    Raises
    ------
    InputError
        For another width.
    """
    size = width_inches(width), min(height_inches, most_inches)
    figure = HouseFigure(figsize=size, layout="constrained")
    figure.most_inches = most_inches
    return figure


def figure_of(axes: Axes) -> Figure:
    """Return the figure that axes stand in."""
    return cast("Figure", axes.get_figure(root=True))


def width_inches(width: str) -> float:
    """Return the width that 'column' or 'page' names, in inches."""
    if width not in WIDTHS_INCHES:
        raise InputError(
            f"width={width!r}{nearest(str(width), WIDTHS_INCHES)}: "
            f"expected one of {', '.join(WIDTHS_INCHES)}"
        )
    return WIDTHS_INCHES[width]


def figure_format(path: str | Path) -> str:
    """Return 'svg', 'pdf' or 'png', the format that a file's suffix asks for.

    Raises
    ------
    InputError
        For another suffix, or none.
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        found = f"suffix '.{suffix}'" if suffix else "no suffix"
        raise InputError(f"{path}: {found}: a figure is written as .{', .'.join(FORMATS)}")
    return suffix


class Saving(TypedDict, total=False):
    """How a figure is kept in a file.

    command: what made it, kept in the file's metadata. with_title, with_notes: False leaves out the
    words above and below the panels, for a paper's own caption; they stay in the metadata.
    """

    command: str
    with_title: bool
    with_notes: bool


def save_figure(
    figure: Figure,
    path: str | Path,
    *,
    title: str,
    command: str = "",
    with_title: bool = True,
    with_notes: bool = True,
) -> None:
    """Write a figure whole or not at all; equal figures give equal bytes.

    Parameters
    ----------
    figure : Figure
    path : str or Path
        Its suffix decides the format.
    title : str
        Kept in the file's metadata: what the figure shows.
    command, with_title, with_notes
        As in `Saving`.

    Raises
    ------
    InputError
        For an unknown suffix, or a path that cannot be written.
    """
    file_format = figure_format(path)
    left_out = [
        *([] if with_title else take_title(figure)),
        *([] if with_notes else take_notes(figure)),
    ]
    origin = [f"made by: {command}"] if command else []
    said = "; ".join([*origin, *left_out])
    picture = io.BytesIO()  # what draws must not meet a full disk: it ends in errors of its own
    with house_style():
        figure.savefig(picture, format=file_format, metadata=_metadata(file_format, title, said))
    with replaced(path) as temporary:
        temporary.write_bytes(picture.getvalue())


def take_title(figure: Figure) -> list[str]:
    """Take the title off a figure, which shrinks by it; return its words, as one line."""
    titles = [legend.get_title() for legend in figure.legends]
    words = [title.get_text() for title in titles] + [figure.get_suptitle()]
    for legend in figure.legends:
        legend.set_title("")
        legend.get_title().set_visible(False)
    if figure.get_suptitle():
        figure.suptitle("").set_in_layout(False)
    grow(figure, -sum(len(text.splitlines()) for text in words), FONT_POINTS)
    return [" ".join(text.split()) for text in words if text]


def take_notes(figure: Figure) -> list[str]:
    """Take the notes off a figure, which shrinks by them; return them."""
    text = figure.get_supxlabel()
    if text:
        figure.supxlabel("").set_in_layout(False)
        grow(figure, -len(text.splitlines()), SMALL_POINTS)
    return [*figure.notes] if isinstance(figure, HouseFigure) else []


def grow(figure: Figure, lines: int, points: float) -> None:
    """Make room for lines of text, up to a page's height; take it away for `lines` below 0."""
    height = figure.get_figheight() + lines * LINE_HEIGHT * points / POINTS_PER_INCH
    most_inches = figure.most_inches if isinstance(figure, HouseFigure) else MOST_HEIGHT_INCHES
    figure.set_figheight(min(height, most_inches))


def _metadata(file_format: str, title: str, said: str) -> dict[str, str | None]:
    """Return what a file says of itself in its format's own words, without a time."""
    title, said = printable(title), printable(said)
    if file_format == "svg":
        return {"Title": title, "Description": said or None, "Date": None}
    if file_format == "pdf":
        return {"Title": title, "Subject": said or None, "CreationDate": None}
    return {"Title": title, "Description": said} if said else {"Title": title}

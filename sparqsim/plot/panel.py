"""The axes of a figure that has one pair of them: its own, or some that a user already has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sparqsim.base.errors import InputError
from sparqsim.plot import labels
from sparqsim.plot.glyphs import drawable
from sparqsim.plot.style import (
    FONT_POINTS,
    POINTS_PER_INCH,
    SMALL_POINTS,
    Saving,
    figure_format,
    figure_of,
    grow,
    new_figure,
    save_figure,
    take_notes,
    take_title,
)

#: What finds the notes again in a user's axes.
NOTES = "sparqsim notes"
#: From the axis' name to the notes below it, points.
NOTES_BELOW_POINTS = 3


@dataclass(frozen=True)
class Panel:
    """Axes to draw on, with title, legend and notes around them.

    own: whether the figure is sparqsim's, which puts title and legend above the axes and grows by
    its notes. In a user's figure they belong to the axes, and nothing else of the figure changes.
    """

    axes: Axes
    own: bool

    @classmethod
    def of(cls, ax: Axes | None, width: str, height_inches: float) -> Panel:
        """Return a user's axes, or those of a new figure of this size."""
        if ax is None:
            return cls(new_figure(width, height_inches).subplots(), own=True)
        if not isinstance(ax, Axes):
            raise InputError(f"ax is a {type(ax).__name__}, expected matplotlib Axes")
        return cls(ax, own=False)

    @property
    def figure(self) -> Figure:
        """The figure that the axes stand in."""
        return figure_of(self.axes)

    def add_legend(self, title: str, handles: Sequence[Any], names: Sequence[str]) -> None:
        """Add the title and one legend, `names` beside `handles`; an earlier one of ours goes."""
        if self.own:
            labels.add_legend(self.figure, title, handles, names)
            return
        self.axes.set_title(self._wrapped(title, FONT_POINTS), fontsize=FONT_POINTS)
        # These texts are older than the house style: a dollar in a name would begin a formula.
        for text in (self.axes.title, self.axes.xaxis.label, self.axes.yaxis.label):
            text.set_parse_math(False)
        self.axes.legend(list(handles), [drawable(name) for name in names], fontsize=SMALL_POINTS)

    def replace_legend(self, title: str, handles: Sequence[Any], names: Sequence[str]) -> None:
        """Put another legend in the place of the last one."""
        if self.own:
            self.figure.legends[-1].remove()
        self.add_legend(title, handles, names)

    def grow(self, lines: int) -> None:
        """Make room for lines of small text, where the figure is ours."""
        if self.own:
            grow(self.figure, lines, SMALL_POINTS)

    def add_notes(self, notes: Sequence[str]) -> None:
        """Add what must be known to read the figure, one note a line, below the axes."""
        if self.own:
            labels.add_notes(self.figure, notes)
            return
        self.axes.annotate(
            "\n".join(self._wrapped(note, SMALL_POINTS) for note in notes),
            (0, 0),
            (0, -NOTES_BELOW_POINTS),
            xycoords=("axes fraction", self.axes.xaxis.label),
            textcoords="offset points",
            va="top",
            fontsize=SMALL_POINTS,
            annotation_clip=False,
            gid=NOTES,
        )

    def _wrapped(self, text: str, points: float) -> str:
        width_points = self.axes.get_position().width * self.figure.get_figwidth()
        return labels.filled(text, points, width_points * POINTS_PER_INCH)


def delivered(
    figure: Figure,
    path: str | Path | None,
    ax: Axes | None = None,
    *,
    title: str,
    **saving: Unpack[Saving],
) -> Figure:
    """Return a figure, written to a file where there is a path.

    Parameters
    ----------
    figure : Figure
    path : str or Path, optional
        Its suffix decides the format.
    ax : Axes, optional
        The user's axes that it was drawn on.
    title : str
        Kept in the file's metadata: what the figure shows.
    **saving
        As in `Saving`; without a path, `command` has nowhere to go.
    """
    if path is not None:
        save_figure(figure, path, title=title, **saving)
        return figure
    if not saving.get("with_title", True):
        _take_title(figure, ax)
    if not saving.get("with_notes", True):
        _take_notes(figure, ax)
    return figure


def check_target(path: str | Path | None, ax: Axes | None = None) -> None:
    """Raise InputError, before drawing, for a suffix that is no figure's, or path and axes."""
    if path is not None:
        figure_format(path)
    if path is not None and ax is not None:
        raise InputError(
            f"{path}: a path and ax, expected one of them; axes are written with their own figure"
        )


def _take_title(figure: Figure, ax: Axes | None) -> None:
    if ax is None:
        take_title(figure)
    else:
        ax.set_title("")


def _take_notes(figure: Figure, ax: Axes | None) -> None:
    if ax is None:
        take_notes(figure)
        return
    for text in [each for each in ax.texts if each.get_gid() == NOTES]:
        text.remove()

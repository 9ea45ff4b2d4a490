"""The one place where text enters figures: what fonts or XML cannot hold is escaped."""

from __future__ import annotations

from functools import cache

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text

#: Ships with matplotlib: the same glyphs on every machine.
FONT = "DejaVu Sans"


def drawable(text: str) -> str:
    r"""Return `text` as a figure can show it: what has no glyph stands escaped, as \x1b or \u6f22.

    No font of the machine is asked for the missing glyphs: equal input gives equal bytes
    everywhere. Line breaks stay.
    """
    return "".join(letter if _has_glyph(letter) else ascii(letter)[1:-1] for letter in text)


def _has_glyph(letter: str) -> bool:
    return letter == "\n" or (letter.isprintable() and ord(letter) in _glyphs())


@cache
def _glyphs() -> frozenset[int]:
    """Return the code points that the font has."""
    return frozenset(get_font(findfont(FontProperties(family=FONT))).get_charmap())


def make_drawable(figure: Figure) -> None:
    """Make every text of a figure drawable, and nothing in it a formula."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            _make_ticks_drawable(axis)
    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a dollar in a layer's name is a dollar
        if text.get_text() != drawable(text.get_text()):
            text.set_text(drawable(text.get_text()))


def _make_ticks_drawable(axis: Axis) -> None:
    """Give an axis drawable labels: they come from its formatter anew whenever it is drawn."""
    places = axis.get_majorticklocs()
    labels = axis.get_major_formatter().format_ticks([float(place) for place in places])
    if any(label != drawable(label) for label in labels):
        axis.set_ticks(places, [drawable(label) for label in labels])

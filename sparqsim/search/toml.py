"""A recipe as the text of a TOML file, which `Recipe.read` reads back to the same recipe."""

from __future__ import annotations

import json
from typing import Any

from sparqsim.quantise.recipe import Recipe


def toml_of_recipe(recipe: Recipe, heading: str) -> str:
    """Return the text; `heading`: a comment of one line before it."""
    document = recipe.model_dump(mode="json", exclude_none=True)
    layers = document.pop("layers")
    calibration = document.pop("calibration")
    lines = [f"# {' '.join(heading.split())}", *_lines(document)]
    lines += ["", "[calibration]", *_lines(calibration)]
    for name, fields in layers.items():
        lines += ["", f"[layers.{_text(name)}]", *_lines(fields)]
    return "\n".join(lines) + "\n"


def _lines(fields: dict[str, Any]) -> list[str]:
    return [f"{name} = {_text(value)}" for name, value in fields.items()]


def _text(value: Any) -> str:
    """Return a value as TOML: strings, numbers and lists are as in JSON, but for DEL."""
    return json.dumps(value).replace("\x7f", "\\u007f")

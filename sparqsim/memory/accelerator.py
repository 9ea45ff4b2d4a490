"""Accelerator files: array, memory and gather unit in TOML, shipped presets, SCALE-Sim's .cfg
files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from sparqsim.array.config import ArrayConfig
from sparqsim.array.registry import dataflow_names
from sparqsim.base.errors import InputError, nearest, shown
from sparqsim.base.plugins import names_a_file
from sparqsim.base.textfile import read_text, toml_of
from sparqsim.memory.config import (
    Accelerator,
    CheckedConfig,
    DramConfig,
    GatherConfig,
    MemoryConfig,
    ScratchpadConfig,
)

Section = TypeVar("Section", bound=CheckedConfig)

PADS = ("activations", "weights", "outputs")
TOP_KEYS = ("name", "storage", "output_bits", "psum_bits", "loop_order")
SECTIONS = ("array", "dram", "gather", *PADS)


def preset_names() -> list[str]:
    """Return the accelerators that ship with the package."""
    return sorted(
        item.name.removesuffix(".toml")
        for item in _presets().iterdir()
        if item.name.endswith(".toml")
    )


def load_accelerator(source: str | Path) -> Accelerator:
    """Return the accelerator of a preset name, a .toml file or a SCALE-Sim .cfg file.

    Raises
    ------
    InputError
        Naming the file, the key, its value and what is accepted.
    """
    name = str(source)
    if name in preset_names():
        return parse_accelerator(
            (_presets() / f"{name}.toml").read_text(encoding="utf-8"), f"preset {name}"
        )
    path = Path(source)
    if not path.exists():
        raise InputError(
            f"{path}: no such file; expected a .toml or SCALE-Sim .cfg file, or a preset: "
            f"{', '.join(preset_names())}{nearest(name, preset_names())}"
        )
    if path.suffix == ".cfg":
        from sparqsim.memory.scalesim import import_cfg

        return import_cfg(path)
    return parse_accelerator(read_text(path), name)


def parse_accelerator(text: str, origin: str) -> Accelerator:
    """Return the accelerator that the TOML `text` describes; `origin` names it in errors."""
    document = toml_of(text, origin)
    _known(origin, "", document, (*TOP_KEYS, *SECTIONS))
    settings: dict[str, Any] = {key: document[key] for key in TOP_KEYS if key in document}
    settings["dram"] = _section(origin, "dram", DramConfig, document)
    settings |= {pad: _section(origin, pad, ScratchpadConfig, document) for pad in PADS}
    memory, array = _made(origin, "", MemoryConfig, settings), _array(origin, document)
    unit = _section(origin, "gather", GatherConfig, document)
    try:
        return Accelerator(memory, array, gather=unit)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None


def _section(origin: str, name: str, kind: type[Section], document: Mapping[str, Any]) -> Section:
    return _made(origin, f"{name}.", kind, _table(origin, name, document))


def _made(origin: str, prefix: str, kind: type[Section], settings: dict[str, Any]) -> Section:
    _known(origin, prefix, settings, tuple(key.name for key in fields(kind)))
    try:
        return kind(**settings)
    except InputError as error:
        raise InputError(f"{origin}: {prefix}{error}") from None


def _array(origin: str, document: Mapping[str, Any]) -> ArrayConfig | None:
    if "array" not in document:
        return None
    settings = _table(origin, "array", document)
    _known(origin, "array.", settings, tuple(key.name for key in fields(ArrayConfig)))
    if names_a_file(str(settings.get("dataflow", ""))):
        raise InputError(
            f"{origin}: array.dataflow={settings['dataflow']!r}: an accelerator file runs no code; "
            f"expected one of {', '.join(dataflow_names())} (--dataflow takes FILE.py:CLASS)"
        )
    try:
        return ArrayConfig(**settings)
    except InputError as error:
        raise InputError(f"{origin}: [array] {error}") from None


def _table(origin: str, name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise InputError(f"{origin}: {name}={shown(table)}: expected a table, [{name}]")
    return table


def _known(origin: str, prefix: str, found: Mapping[str, Any], accepted: tuple[str, ...]) -> None:
    for key in found:
        if key not in accepted:
            raise InputError(
                f"{origin}: {prefix}{shown(key)[1:-1]}={shown(found[key])}: unknown "
                f"key{nearest(key, accepted)}; expected one of {', '.join(accepted)}"
            )


def _presets() -> Any:
    return resources.files("sparqsim.memory") / "presets"

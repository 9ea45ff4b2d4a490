"""Import of SCALE-Sim's .cfg files: what has a meaning here is taken, the rest is listed.

Source of the format: SCALE-Sim v3.0.0 (MIT), read in its source. It gives every operand a private
DRAM port; here one channel is shared. Its `Bandwidth` is used in USER mode only; CALC never stalls.
"""

from __future__ import annotations

import configparser
import math
from pathlib import Path

from sparqsim.array.config import LARGEST_SIDE, ArrayConfig
from sparqsim.base.errors import InputError, nearest, shown
from sparqsim.base.parse import whole_number
from sparqsim.base.textfile import read_text
from sparqsim.memory.config import LARGEST, Accelerator, DramConfig, MemoryConfig, ScratchpadConfig

#: The words of the format; they mean what they mean here.
SCALESIM_DATAFLOWS = ("os", "ws", "is")
PRESETS = "architecture_presets"
#: Where SCALE-Sim looks for what is taken: section and key, spelled as in its own files.
TAKEN = (
    ("general", "run_name"),
    ("run_presets", "InterfaceBandwidth"),
    *(
        (PRESETS, key)
        for key in (
            "ArrayHeight",
            "ArrayWidth",
            "Dataflow",
            "IfmapSramSzkB",
            "FilterSramSzkB",
            "OfmapSramSzkB",
            "Bandwidth",
        )
    ),
)
SHARED = (
    "Bandwidth: SCALE-Sim gives each operand a private port of this many words; here one channel "
    "of as many bytes is shared"
)
CALC = "InterfaceBandwidth=CALC: no stalls there, so the bandwidth is unlimited here"


def import_cfg(path: Path) -> Accelerator:
    """Return the accelerator of a SCALE-Sim .cfg file; `remarks` lists what is ignored or means
    something else here.

    Raises
    ------
    InputError
        For a file that is not INI, a missing key or a bad value.
    """
    try:
        return _accelerator(Cfg(path), path)
    except InputError as error:
        named = str(error).startswith(str(path))
        raise InputError(error if named else f"{path}: {error}") from None


def _accelerator(cfg: Cfg, path: Path) -> Accelerator:
    array = ArrayConfig(
        rows=cfg.number("ArrayHeight", LARGEST_SIDE),
        cols=cfg.number("ArrayWidth", LARGEST_SIDE),
        dataflow=cfg.one_of("Dataflow", SCALESIM_DATAFLOWS),
    )
    limited = cfg.one_of("InterfaceBandwidth", ("CALC", "USER"), "CALC") == "USER"
    activations, weights, outputs = (
        ScratchpadConfig(size_kib=cfg.number(f"{operand}SramSzkB", LARGEST))
        for operand in ("Ifmap", "Filter", "Ofmap")
    )
    dram = DramConfig(
        bandwidth_bytes_per_cycle=cfg.number("Bandwidth", LARGEST) if limited else math.inf
    )
    memory = MemoryConfig(
        name=cfg.text("run_name", path.stem).strip('"') or path.stem,
        dram=dram,
        activations=activations,
        weights=weights,
        outputs=outputs,
    )
    return Accelerator(
        memory, array, (*cfg.ignored(), *([*cfg.list_remark(), SHARED] if limited else [CALC]))
    )


class Cfg:
    """The values of a .cfg file as SCALE-Sim finds them: by section, in any case of the key."""

    def __init__(self, path: Path) -> None:
        self._path = path
        parser = configparser.ConfigParser(strict=True, interpolation=None)
        self._spelled: dict[str, str] = {}
        parser.optionxform = self._lowered  # type: ignore[assignment, method-assign]
        try:
            parser.read_string(read_text(path))
        except configparser.Error as error:
            said = " ".join(str(error).replace("<string>", str(path)).split())
            raise InputError(f"{path}: not a SCALE-Sim configuration ({said})") from None
        self._values = {
            (section, key): value.strip()
            for section in parser.sections()
            for key, value in parser[section].items()
        }

    def _lowered(self, key: str) -> str:
        self._spelled.setdefault(key.lower(), key)
        return key.lower()

    def text(self, key: str, default: str | None = None) -> str:
        """Return the text of a key that is taken, or `default`."""
        section = next(section for section, taken in TAKEN if taken == key)
        found = self._values.get((section, key.lower()), default)
        if found is None:
            raise InputError(
                f"{self._path}: {key} is missing in [{section}]; expected it as in SCALE-Sim's own "
                "configurations"
            )
        return found

    def number(self, key: str, most: int) -> int:
        """Return a number from 1 to `most`; of a list, the first."""
        text = self.text(key).split(",")[0].strip()
        value = whole_number(text, 1, most)
        if value is None:
            raise InputError(
                f"{self._path}: {key}={shown(text)}: expected an integer from 1 to {most}"
            )
        return value

    def one_of(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """Return one of `choices`."""
        text = self.text(key, default)
        if text not in choices:
            raise InputError(
                f"{self._path}: {key}={shown(text)}: expected one of {', '.join(choices)}"
                f"{nearest(text, choices)}"
            )
        return text

    def ignored(self) -> list[str]:
        """Return a remark for every key that is not taken."""
        taken = {(section, key.lower()) for section, key in TAKEN}
        return [
            f"{self._spelled[key]}={value}: ignored"
            for (section, key), value in self._values.items()
            if (section, key) not in taken
        ]

    def list_remark(self) -> list[str]:
        """Return a remark where `Bandwidth` is a list."""
        text = self.text("Bandwidth")
        return [f"Bandwidth={text}: the first of the list is taken"] if "," in text else []

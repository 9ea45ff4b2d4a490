"""Import of SCALE-Sim's .cfg files: what has a meaning here is taken, the rest is listed.

Source of the format: SCALE-Sim v3.0.0 (MIT), read in its source. It gives every operand a private DRAM port; here one
channel is shared. Its `Bandwidth` is used in USER mode only; CALC never stalls.
"""

from __future__ import annotations

import configparser
import math
from pathlib import Path
from typing import Any

from sparqsim.config import ArrayConfig
from sparqsim.errors import InputError
from sparqsim.memory.accelerator import Accelerator
from sparqsim.memory.config import DramConfig, MemoryConfig, ScratchpadConfig
from sparqsim.record import read_text

TAKEN = {"arrayheight", "arraywidth", "dataflow", "ifmapsramszkb", "filtersramszkb", "ofmapsramszkb", "bandwidth",
         "interfacebandwidth", "run_name"}
SHARED = ("bandwidth: SCALE-Sim gives each operand a private port of this many words; here one channel of as many "
          "bytes is shared")


def import_cfg(path: Path) -> Accelerator:
    """Return the accelerator of a SCALE-Sim .cfg file; `remarks` lists what is ignored or means something else here.

    Raises
    ------
    InputError
        For a file that is not INI, a missing key or a bad value.
    """
    values = _values(path)
    array = ArrayConfig(rows=_number(path, values, "arrayheight"), cols=_number(path, values, "arraywidth"),
                        dataflow=_text(path, values, "dataflow"))
    mode = values.get("interfacebandwidth", "CALC").upper()
    if mode not in ("CALC", "USER"):
        raise InputError(f"{path}: InterfaceBandwidth={mode!r}: expected CALC or USER")
    bandwidth = math.inf if mode == "CALC" else _number(path, values, "bandwidth")
    memory = MemoryConfig(name=values.get("run_name", path.stem).strip('"'),
                          dram=DramConfig(bandwidth_bytes_per_cycle=bandwidth), activations=_pad(path, values, "ifmap"),
                          weights=_pad(path, values, "filter"), outputs=_pad(path, values, "ofmap"))
    return Accelerator(memory, array, _remarks(values, mode))


def _pad(path: Path, values: dict[str, str], name: str) -> ScratchpadConfig:
    return ScratchpadConfig(size_kib=_number(path, values, f"{name}sramszkb"))


def _values(path: Path) -> dict[str, str]:
    parser = configparser.ConfigParser(strict=True, interpolation=None)
    try:
        parser.read_string(read_text(path))
    except configparser.Error as error:
        raise InputError(f"{path}: not a SCALE-Sim configuration ({error})") from None
    return {key: value for section in parser.sections() for key, value in parser[section].items()}


def _text(path: Path, values: dict[str, Any], key: str) -> str:
    if key not in values:
        raise InputError(f"{path}: key {key!r} is missing; expected it as in SCALE-Sim's own configurations")
    return str(values[key]).strip()


def _number(path: Path, values: dict[str, Any], key: str) -> int:
    text = _text(path, values, key).split(",")[0].strip()
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"{path}: {key}={text!r}: expected an integer from 1")
    return int(text)


def _remarks(values: dict[str, str], mode: str) -> tuple[str, ...]:
    ignored = [f"{key}={value}: ignored" for key, value in values.items() if key not in TAKEN]
    if mode == "CALC":
        return (*ignored, "InterfaceBandwidth=CALC: no stalls there, so the bandwidth is unlimited here")
    return (*ignored, SHARED)

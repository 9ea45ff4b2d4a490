"""The array, its memory and what energies are found with, as options describe them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from sparqsim.array.config import ArrayConfig
from sparqsim.base.errors import InputError, printable

if TYPE_CHECKING:
    from sparqsim.cost.plan import EnergyPlan
    from sparqsim.memory import MemoryConfig


def array_config(
    array: str | None,
    dataflow: str | None,
    coupling: str | None,
    overlap: str | None,
    base: ArrayConfig | None = None,
) -> ArrayConfig:
    """Return the array that the options describe; what they leave out is as in `base`."""
    if overlap not in {None, "on", "off"}:
        raise InputError(f"--overlap {overlap!r}: expected on or off")
    base = base or ArrayConfig()
    shape = base if array is None else ArrayConfig.parse(array)
    return replace(
        base,
        rows=shape.rows,
        cols=shape.cols,
        dataflow=base.dataflow if dataflow is None else dataflow,
        coupling=base.coupling if coupling is None else coupling,
        overlap=base.overlap if overlap is None else overlap == "on",
    )


def accelerator_config(
    config: str | None,
    array: str | None,
    dataflow: str | None,
    coupling: str | None,
    overlap: str | None,
) -> tuple[ArrayConfig, MemoryConfig | None]:
    """Return the array and memory that the options describe; remarks on the file go to stderr."""
    if config is None:
        return array_config(array, dataflow, coupling, overlap), None
    from sparqsim.memory import load_accelerator

    accelerator = load_accelerator(config)
    for remark in accelerator.remarks:
        typer.echo(printable(f"{config}: {remark}"), err=True)
    return array_config(array, dataflow, coupling, overlap, accelerator.array), accelerator.memory


def energy_plan(
    table: str | None, memory_energy: str | None, scale_to: float | None, *, with_memory: bool
) -> EnergyPlan | None:
    """Return what energies are found with; None where they are not asked for.

    `with_memory`: whether memory is modelled.
    """
    if table is None:
        asked = {"--memory-energy": memory_energy, "--scale-to": scale_to}
        for option, value in asked.items():
            if value is not None:
                raise InputError(
                    f"{option} {value}: energy is not asked for; expected --energy too"
                )
        return None
    if memory_energy is not None and not with_memory:
        raise InputError(
            f"--memory-energy {memory_energy}: memory is not modelled; expected --config too"
        )
    from sparqsim.cost.memory import DEFAULT
    from sparqsim.cost.plan import EnergyPlan

    return EnergyPlan.of(table, memory_energy or DEFAULT, scale_to)

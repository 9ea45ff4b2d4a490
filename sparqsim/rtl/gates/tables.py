"""Internal energies as liberty tabulates them: by an output's load and an input's slew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.rtl.gates.liberty import Group

#: What an axis of a template is.
LOADS = ("total_output_net_capacitance", "equal_or_opposite_output_net_capacitance")
SLEWS = ("input_transition_time", "input_net_transition")


@dataclass(frozen=True)
class Units:
    """How many fF, ns, nW and V a library's units are."""

    capacitance_ff: float
    time_ns: float
    leakage_nw: float
    voltage_v: float

    @property
    def energy_fj(self) -> float:
        """The unit of internal energies: capacitance times voltage squared."""
        return self.capacitance_ff * self.voltage_v**2


@dataclass(frozen=True)
class EnergyTable:
    """Energies in fJ at loads in fF (axis 0) and slews in ns (axis 1).

    Between points they are linear in each, beyond the last ones as between the last two.
    """

    loads_ff: tuple[float, ...]
    slews_ns: tuple[float, ...]
    energies_fj: tuple[tuple[float, ...], ...]

    def at(self, load_ff: float, slew_ns: float) -> float:
        """Return the energy of a transition in fJ."""
        by_load = [_line(self.slews_ns, row, slew_ns) for row in self.energies_fj]
        return _line(self.loads_ff, by_load, load_ff)


ZERO = EnergyTable((0.0,), (0.0,), ((0.0,),))


def _line(points: Sequence[float], values: Sequence[float], at: float) -> float:
    """Return the value at `at` of the line through the two nearest points."""
    if len(points) == 1:
        return values[0]
    right = min(max(int(np.searchsorted(points, at)), 1), len(points) - 1)
    left = right - 1
    part = (at - points[left]) / (points[right] - points[left])
    return values[left] + part * (values[right] - values[left])


def energy_table(
    group: Group, templates: Mapping[str, Group], units: Units, where: str
) -> EnergyTable:
    """Return the table of a group such as `rise_power`.

    Raises
    ------
    InputError
        For axes that are neither load nor slew, or values that do not fill them.
    """
    values = _numbers(group.lists.get("values", ()), where) * units.energy_fj
    if group.name == "scalar" or values.size == 1:
        return EnergyTable((0.0,), (0.0,), ((float(values[0]),),))
    template = templates.get(group.name)
    if template is None:
        raise InputError(f"{where}: its library has no template {group.name!r}")
    axes = []
    for number in (1, 2):
        points = group.lists.get(f"index_{number}") or template.lists.get(f"index_{number}")
        if points:
            axes.append((template.values.get(f"variable_{number}", ""), _numbers(points, where)))
    return _by_load_and_slew(axes, values, units, where)


def _by_load_and_slew(
    axes: list[tuple[str, NDArray[np.float64]]],
    values: NDArray[np.float64],
    units: Units,
    where: str,
) -> EnergyTable:
    sizes = [len(points) for _, points in axes]
    if values.size != int(np.prod(sizes)):
        raise InputError(f"{where}: has {values.size} values for axes of {sizes} points")
    loads, slews = np.zeros(1), np.zeros(1)
    grid, order = values.reshape(sizes), []
    for axis, (variable, points) in enumerate(axes):
        if variable in LOADS and 0 not in order:
            loads = points * units.capacitance_ff
            order.append(0)
        elif variable in SLEWS and 1 not in order:
            slews = points * units.time_ns
            order.append(1)
        else:
            raise InputError(
                f"{where}: its axis {axis + 1} is {variable!r}; expected {', '.join(LOADS + SLEWS)}"
            )
    if order == [1, 0]:
        grid = grid.T
    rows = grid.reshape(len(loads), len(slews)).tolist()
    return EnergyTable(tuple(loads.tolist()), tuple(slews.tolist()), tuple(map(tuple, rows)))


def _numbers(items: Sequence[str], where: str) -> NDArray[np.float64]:
    words = " ".join(items).replace(",", " ").replace("\\", " ").split()
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError:
        raise InputError(f"{where}: has {' '.join(words)[:40]!r}; expected numbers") from None
    if not numbers.size or not np.isfinite(numbers).all():
        raise InputError(f"{where}: expected finite numbers")
    return numbers

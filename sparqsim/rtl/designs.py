"""Which circuit of `sv/` a PE design is: its parameters there."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sparqsim.base.errors import InputError
from sparqsim.pe.base import PEDesign
from sparqsim.pe.mac import Mac
from sparqsim.pe.sparq import Sparq
from sparqsim.pe.sparq_exact import SparqExact
from sparqsim.pe.windows import WindowSet

MAC, SPARQ, EXACT, SYSMT = range(4)


@dataclass(frozen=True)
class Circuit:
    """Parameters of the modules in `sv/`; `sv/parameters.svh` says what they mean."""

    kind: int
    lanes: int
    xbits: int = 8
    wbits: int = 8
    signed: int = 0
    scale: int = 0
    bits: int = 4
    stride: int = 1
    places: int = 5
    code: int = 3
    lone_places: int = 1
    round: int = 1
    pairing: int = 1

    @property
    def parameters(self) -> dict[str, int]:
        """The parameters under their names in `sv/`."""
        return {name.upper(): int(value) for name, value in asdict(self).items()}

    @property
    def x_width(self) -> int:
        """Bits of the activations of one step, as memory holds them."""
        return self.lanes * self.xbits

    @property
    def w_width(self) -> int:
        """Bits of the weights of one step."""
        return self.lanes * self.wbits

    @property
    def has_trim_unit(self) -> bool:
        """Whether activations pass a unit at the array's edge."""
        return self.kind in (SPARQ, EXACT)


def circuit_of(design: PEDesign, signed: bool = False) -> Circuit:
    """Return the circuit of a design; `signed` for int8 activations.

    Raises
    ------
    InputError
        For a design that has no RTL here, or int8 activations given to one that takes only uint8.
    """
    design.check_signedness(signed)
    if signed and isinstance(design, Sparq | SparqExact):
        raise InputError(
            f"{design.spec}: the RTL takes unsigned activations only, signs beside "
            "magnitudes have none"
        )
    if isinstance(design, Mac):
        return _mac(design, signed)
    if isinstance(design, SparqExact):
        return Circuit(EXACT, 2, **_windows(design.windows_of_pair))
    if isinstance(design, Sparq):
        return Circuit(
            SPARQ,
            2,
            **_windows(design.windows_of_pair),
            lone_places=len(design.windows_of_lone.shifts),
            round=int(design.rounding != "trim"),
            pairing=int(design.pairing == "on"),
        )
    if design.name == "sysmt-2t" and getattr(design, "variant", None) == "wA":
        return Circuit(SYSMT, 2, round=int(getattr(design, "rounding", "") != "trim"))
    raise _without_rtl(design)


def _mac(design: Mac, signed: bool) -> Circuit:
    widths = {"mac-8b8b": (8, 8), "mac-2x8b8b": (8, 8), "mac-4b8b": (4, 8), "mac-4b4b": (4, 4)}.get(
        design.name
    )
    if widths is None:
        raise _without_rtl(design)
    xbits, wbits = widths
    return Circuit(MAC, design.lanes, xbits, wbits, int(signed), scale=16 - xbits - wbits)


def _without_rtl(design: PEDesign) -> InputError:
    return InputError(
        f"{design.spec}: has no RTL; expected a mac-* or sparq-* design of this package, or "
        "sysmt-2t with variant=wA"
    )


def _windows(windows: WindowSet) -> dict[str, int]:
    """Return a window set as equally spaced places and the bits of the code that names one."""
    stride = windows.shifts[1] - windows.shifts[0]
    places = len(windows.shifts)
    return {
        "bits": windows.bits,
        "stride": stride,
        "places": places,
        "code": (places - 1).bit_length(),
    }

"""A layer under a design from real values to real values: the fast form of what `operands_of`,
`Arithmetic.sums` and `real_output` give one after another.

Codes, sums, errors and outputs are the same, number for number. Integers stay in float32 tensors
laid out as the network's own, and PyTorch multiplies them (`floatsums`). It covers Conv2d and
Linear of codes around 0, one column for each output channel, whose sums fit the accumulator, under
designs that use activations one by one, whose steps see adjacent channels of one pixel, or that
change nothing in activations; activations of fewer bits under exact designs. For all else there is
no output here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparqsim.engine.models.base import KEPT
from sparqsim.networks.arithmetic import Arithmetic, SumsOfSquares
from sparqsim.networks.observe import check_finite
from sparqsim.networks.site import Site
from sparqsim.networks.sums import Factor, Weights, asked_by_pixel
from sparqsim.networks.topbits import TopBits
from sparqsim.networks.torch import kernels
from sparqsim.networks.torch.floatsums import FloatSums, Product
from sparqsim.networks.torch.network import Call, Values
from sparqsim.networks.torch.sites import padded
from sparqsim.networks.torch.spreading import spread
from sparqsim.networks.torch.used import Used, used_by
from sparqsim.pe import PEDesign, get_pe
from sparqsim.pe.base import LayerFacts
from sparqsim.pe.binding import bound_by
from sparqsim.quantise.codes import LIMITS


class DirectForms:
    """The fast forms of a network's layers, made when they are first asked for."""

    def __init__(self) -> None:
        self._forms: dict[tuple[Site, PEDesign], DirectForm | None] = {}
        self._used: dict[tuple[PEDesign, bool], Used] = {}
        self._sums: dict[tuple[Site, Factor, tuple[int, int]], FloatSums] = {}

    def output(
        self, arithmetic: Arithmetic, call: Call, site: Site, values: Values
    ) -> Tensor | None:
        """Return a site's output in `arithmetic`, its error noted; None where it is not covered.

        Raises
        ------
        InputError
            For NaN or infinite activations.
        """
        design = arithmetic.design(site)
        form = None if design is None else self._form(site, design)
        if form is None:
            return None
        x = values[0] if site.op == "linear" else padded(call.module, values[0])
        if not form.takes(x):
            return None
        codes = form.codes(x)
        sums = form.sums(codes, measured=arithmetic.measuring)
        if sums is None:
            return None
        if sums.error is not None:
            arithmetic.note(site, sums.error)
        return form.real(sums.used, x)

    def _form(self, site: Site, design: PEDesign) -> DirectForm | None:
        if (site, design) not in self._forms:
            self._forms[site, design] = self._made(site, design)
        return self._forms[site, design]

    def _made(self, site: Site, design: PEDesign) -> DirectForm | None:
        weights = site.matrices
        if weights is None or site.record.zero_point_corrected:
            return None
        if site.can_overflow or site.column_channels is not None:
            return None
        facts = facts_of(site, weights)
        bound = bound_by(facts, design, site.name)
        factor = weights.used(bound)
        if factor is None:
            return None
        exact_pe = get_pe(KEPT)
        if site.lost_activation_bits:
            if not bound.exact:
                return None
            bound = exact_pe = TopBits(site.activation_bits)
        used = self._used_by(bound, facts.signed)
        if not used.same and not self._by_pixel(site, used):
            return None
        exact = self._used_by(exact_pe, facts.signed)
        return DirectForm(
            site,
            used,
            self._float_sums(site, factor, used.limits),
            self._float_sums(site, weights.stored, exact.limits),
        )

    def _used_by(self, pe: PEDesign, signed: bool) -> Used:
        if (pe, signed) not in self._used:
            self._used[pe, signed] = used_by(pe, signed)
        return self._used[pe, signed]

    def _by_pixel(self, site: Site, used: Used) -> bool:
        """Whether a design can be asked pixel by pixel, padding being zeros to it."""
        assert site.weights is not None  # noqa: S101 - for the type checker
        depth = site.weights.codes.shape[2]
        zeros = torch.zeros(1, used.pe.lanes)
        found = used.of(zeros)
        keeps_zeros = found is not None and bool((found == 0).all())
        return keeps_zeros and asked_by_pixel(depth, used.pe)

    def _float_sums(self, site: Site, factor: Factor, limits: tuple[int, int]) -> FloatSums:
        key = site, factor, limits
        if key not in self._sums:
            self._sums[key] = FloatSums(Product(site.geometry, site.groups), factor, *limits)
        return self._sums[key]


def facts_of(site: Site, weights: Weights) -> LayerFacts:
    """Return what a design may know of a site."""
    record = site.record
    k = weights.stored.integers.shape[1]
    return LayerFacts(k, site.activation.stored_signed, record.activation_bits, record.weight_bits)


class Sums(NamedTuple):
    """Sums under a design, and how they differ from the exact ones; None where not asked for."""

    used: Tensor
    error: SumsOfSquares | None


@dataclass(frozen=True, eq=False)
class DirectForm:
    """A site under a design.

    Parameters
    ----------
    site : Site
    used : Used
        What the design makes of codes.
    sums, exact : FloatSums
        The design's, and those of the codes; one and the same where weights do not change.
    """

    site: Site
    used: Used
    float_sums: FloatSums
    exact: FloatSums

    def takes(self, x: Tensor) -> bool:
        """Whether a batch has the layer's channels, and any output."""
        assert self.site.weights is not None  # noqa: S101 - for the type checker
        depth = self.site.weights.codes.shape[2] * self.site.groups
        geometry = self.site.geometry
        if geometry is None:
            return x.numel() > 0 and x.shape[-1] == depth
        height, width = x.shape[2:]
        return (
            x.numel() > 0 and x.shape[1] == depth and min(geometry.output_size(height, width)) > 0
        )

    def codes(self, x: Tensor) -> Tensor:
        """Return activations as codes, float32, laid out as `Product` takes them."""
        values = x.detach().float().contiguous()
        if self.site.geometry is None:
            values = values.reshape(-1, values.shape[-1])
        codes = torch.empty_like(values)
        activation = self.site.activation
        settings = map(np.float32, (activation.scale, *LIMITS[activation.signed]))
        flat = [values.numpy().reshape(-1), codes.numpy().reshape(-1)]
        if any(spread(kernels.codes_of, flat, *settings)):
            check_finite(values.numpy())
        return codes

    def sums(self, codes: Tensor, measured: bool) -> Sums | None:
        """Return the sums of codes; None where float32 does not give them exactly."""
        used = self.used.of(codes)
        found = None if used is None else self.float_sums(used)
        if found is None or not measured:
            return None if found is None else Sums(found, None)
        # Of fewer bits of activations the exact sums are those of the bits that are left.
        unchanged = self.used.same or self.site.lost_activation_bits > 0
        same = unchanged and self.float_sums is self.exact
        exact = found if same else self.exact(codes)
        return None if exact is None else Sums(found, self._error(found, exact))

    def _error(self, found: Tensor, exact: Tensor) -> SumsOfSquares:
        largest = self.float_sums.largest + self.exact.largest
        run = (1 << 62) // max(1, largest) ** 2
        flat = [found.numpy().reshape(-1), exact.numpy().reshape(-1)]
        parts = [kernels.Compared(*each) for each in spread(kernels.compared, flat, run)]
        signal = sum(part.whole_signal for part in parts)
        noise = sum(part.whole_noise for part in parts)
        largest_error = max(part.largest for part in parts)
        shift = self.site.lost_bits
        return SumsOfSquares(
            exact.numel(), signal << 2 * shift, noise << 2 * shift, largest_error << shift
        )

    def real(self, sums: Tensor, x: Tensor) -> Tensor:
        """Return sums in the network's own values, as `real_output`."""
        single = x.dtype == torch.float32
        output = torch.empty(sums.shape, dtype=torch.float32 if single else torch.float64)
        arrays = [each.numpy() for each in (sums, output)]
        factor = 1 << self.site.lost_bits
        by_channel = self.site.unit, self._bias
        if self.site.geometry is None:
            spread(kernels.rows_to_real, arrays, *by_channel, factor)
            return output.to(x.dtype).reshape(*x.shape[:-1], -1)
        planes = [each.reshape(each.shape[0] * each.shape[1], -1) for each in arrays]
        by_plane = [np.tile(each, len(sums)) for each in by_channel]
        spread(kernels.planes_to_real, [*planes, *by_plane], factor)
        return output.to(x.dtype)

    @property
    def _bias(self) -> NDArray[np.float64]:
        """The bias; -0, which changes nothing when it is added, where there is none."""
        if self.site.bias is None:
            return np.full(len(self.site.unit), -0.0)
        return self.site.bias.astype(np.float64)

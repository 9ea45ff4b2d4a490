"""What a PE design must give.

A design is one frozen dataclass in one file of this folder (or anywhere else, loaded as
FILE.py:CLASS). Its fields are the keys a user may set. It gives

* `name`, `lanes` (pairs of operands consumed per step), `signed_activations`;
* `step(xs, ws)`: the definition, in plain Python: what the circuit does in one step, in cycles and
  value, and which of its parts were active;
* a fast form of the same: `used_activations` and `used_weights`, what the multipliers see of each
  operand; or, where that depends on the other operand (`values_by_pair`), a `matmul` of its own;
* `cost`: what decides how long a step takes, and the hook that tells it (`COST_HOOKS`).

A design may make itself ready for a layer (`for_layer`): lanes, cycles and mode by the bits of its
operands. Everything that runs a layer then uses what `for_layer` returned. Layers that stay at 8
bits, whatever the design trims, run as `kept_8bit` says. A design whose operands are codes of its
own, at scales of its own, makes of a layer what enters its array (`real_valued`, `encoded`).

The fast form must equal `step` for every operand: `contract.py` checks that, and `sparqsim pe
check` runs it. A design never knows the dataflow that times it. PEs that the array does not time,
because they run through queues of their own, name the engine model that does (`runs_on`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.exact import exact_matmul
from sparqsim.base.keys import spec_of
from sparqsim.pe.kept import KeptMode
from sparqsim.pe.layout import arranged, magnitude_pairs, nonzero_masks
from sparqsim.pe.trimming import NOTHING, Trimming

if TYPE_CHECKING:
    from sparqsim.pe.encoded import Entering
    from sparqsim.trace.layer import Layer
    from sparqsim.trace.lowering import LoweredLayer

Array = NDArray[Any]


#: What decides the cycles of a step. 'unit': nothing, each takes one. 'shape': nothing, each takes
#: the same number, padded ones too, since one control runs the whole array. 'activations',
#: 'weights', 'pair': the values of the operands; a step that only pads a tile on the deciding side
#: takes one cycle.
Cost = Literal["unit", "shape", "activations", "weights", "pair"]
COSTS: tuple[Cost, ...] = get_args(Cost)
#: The method of a design that tells cycles of each cost.
COST_HOOKS: dict[Cost, str] = {
    "shape": "fixed_step_cycles",
    "activations": "step_cycles",
    "weights": "weight_step_cycles",
    "pair": "pair_step_cycles",
}
#: Most cycles that a step can take anywhere: step cycles are kept as uint8.
MOST_CYCLES = 255


@dataclass(frozen=True)
class LayerFacts:
    """What a design may know of a layer when it makes itself ready for it.

    Parameters
    ----------
    k : int
        Length of the sums: elements of K.
    signed : bool
        Whether activations are int8, else uint8.
    activation_bits, weight_bits : int
        Bits of the codes, 1 to 8. Signed codes lie in -2^(bits - 1) to 2^(bits - 1) - 1, unsigned
        ones in 0 to 2^bits - 1.
    """

    k: int
    signed: bool = False
    activation_bits: int = 8
    weight_bits: int = 8


@dataclass(frozen=True)
class Step:
    """What a PE does in one step.

    Parameters
    ----------
    value : int
        What is added to the partial sum.
    cycles : int
        How long the step takes.
    active_cycles : mapping of str to int
        For each part of the PE that does useful work in this step, the cycles it does so.
    controls : mapping of str to int
        Control codes of the step's last cycle, as a waveform shows them.
    """

    value: int
    cycles: int = 1
    active_cycles: Mapping[str, int] = field(default_factory=dict)
    controls: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class PEDesign(ABC):
    """A processing element: its arithmetic and step cycles. See the module's docstring."""

    name: ClassVar[str]
    #: Pairs of operands (one activation, one weight) that a PE consumes per step.
    lanes: ClassVar[int]
    #: Narrow or wide multipliers in a PE, the denominator of multiplier utilization.
    multipliers: ClassVar[int] = 1
    #: Bits of the activation and of the weight that each multiplier takes whole, one product a
    #: step; None: the circuit is more, or other, than such multipliers and adders.
    multiplier_bits: ClassVar[tuple[int, int] | None] = None
    #: Whether int8 activations are accepted.
    signed_activations: ClassVar[bool] = True
    #: What decides how long a step takes; a design gives the method that `COST_HOOKS` names for it.
    cost: ClassVar[Cost] = "unit"
    #: Most cycles a step can take, at most `MOST_CYCLES`.
    most_step_cycles: ClassVar[int] = 1
    #: Registers an operand passes between the array's edge and the first PE, in cycles.
    edge_cycles: ClassVar[int] = 0
    #: Registers between a PE's multipliers and its sum, in cycles: a sum follows its step so much
    #: later. Only where steps take one cycle.
    stage_cycles: ClassVar[int] = 0
    #: Bits of a weight as it is stored.
    weight_bits: ClassVar[int] = 8
    #: What may stay in a PE for a whole tile; of each dataflow the design supports, one of these
    #: does.
    stationary: ClassVar[tuple[str, ...]] = ("outputs", "weights", "activations")
    #: Names of the only dataflows the design supports; None: all that keep one of `stationary`.
    dataflows: ClassVar[tuple[str, ...] | None] = None
    #: Whether the result is X @ W, whatever the operands.
    exact: ClassVar[bool] = False
    #: Whether what becomes of an operand depends on the one it meets; the design then has a
    #: `matmul` of its own, and `used_activations` and `used_weights` are never asked.
    values_by_pair: ClassVar[bool] = False
    #: Whether what `used_activations` makes of an activation depends on it alone, whatever its
    #: neighbours: what answers pictures then looks it up by its code.
    one_by_one: ClassVar[bool] = False
    #: Whether operands are codes of real values, at scales of the design's own: `encoded` makes
    #: them of what a trace holds, and outputs are real values, compared rounded to whole units.
    real_valued: ClassVar[bool] = False
    #: Whether `encoded` finds a scale on a whole tensor of activations. Batches of what a network
    #: answers would each have one of their own: it then runs `with_tensor_scale`, or is refused.
    tensor_scales: ClassVar[bool] = False
    #: The engine model that is made of such PEs, by its name.
    runs_on: ClassVar[str] = "systolic-array"

    def __init_subclass__(cls, **settings: Any) -> None:
        """Take a design with a `matmul` of its own for one that decides values by pairs."""
        super().__init_subclass__(**settings)
        bases = [base for base in cls.__mro__ if base is not PEDesign]
        if not any("values_by_pair" in vars(base) for base in bases):
            cls.values_by_pair = cls.matmul is not PEDesign.matmul

    @abstractmethod
    def step(self, xs: Sequence[int], ws: Sequence[int], signed: bool = False) -> Step:
        """Return what a step does with `lanes` activations and weights: the design's definition.

        `signed` tells whether the layer's activations are int8, uint8 otherwise.
        """

    @property
    def spec(self) -> str:
        """The name with every key that is not at its default: 'sparq-5opt:rounding=trim'."""
        return spec_of(self)

    @property
    def circuit(self) -> str:
        """What names the circuit of the PE; designs that share it are its modes, and one array can
        run them layer by layer. The design's own by default.
        """
        return self.spec

    @property
    def cycles_depend_on_values(self) -> bool:
        """Whether two operand sets of the same shape can take different numbers of cycles."""
        return self.cost in ("activations", "weights", "pair")

    @property
    def trimming(self) -> Trimming:
        """What the design makes of operands, for quantization cards; by default nothing, where it
        is exact, and not known where it is not.
        """
        return NOTHING if self.exact else Trimming()

    def for_layer(self, facts: LayerFacts) -> PEDesign:
        """Return the design as it runs a layer: itself, unless lanes, cycles or mode follow it.

        A design that does keeps what it needs in fields that are no keys of the user's,
        `field(default=8, metadata={"key": False})`, and returns `replace(self, ...)`. Bound again
        to the same layer it stays as it is, and `spec` stays that of the design the user named.
        """
        return self

    @property
    def encodes(self) -> bool:
        """Whether what enters the array is not what the trace holds."""
        return type(self).encoded is not PEDesign.encoded

    def encoded(self, layer: LoweredLayer) -> Entering:
        """Return the layer as it enters the array: as it is, unless the design has a number format
        of its own (`real_valued`), or leaves out weights.

        Asked where values are, never where shapes alone decide. `step` and the fast form are then
        of what this returned.
        """
        return layer

    def with_tensor_scale(self, seen: Iterable[LoweredLayer]) -> PEDesign:
        """Return a design of `tensor_scales` with the scale of a layer's activations that it finds
        on calibration batches of it; `encoded` then uses that one for every batch.

        It stands in a field that is no key of the user's, as in `for_layer`.
        """
        return self

    def kept_8bit(self, facts: LayerFacts) -> KeptMode[PEDesign] | None:
        """Return how the circuit runs a layer that stays at 8 bits, exactly; None where the design
        does not say.

        By default an exact design runs it as any other layer.
        """
        takes = self.signed_activations or not facts.signed
        return KeptMode((self,)) if self.exact and takes else None

    def of_filters(self, w: Array) -> Sequence[PEDesign]:
        """Return the design whose `step` defines each filter of (K, N): N of them, of its lanes."""
        return [self] * w.shape[-1]

    def filter_order(self, w: Array) -> NDArray[np.int64]:
        """Return which filter of (..., K, N) lies in each column of the array, int64 (..., N)."""
        return np.broadcast_to(np.arange(w.shape[-1]), (*w.shape[:-2], w.shape[-1]))

    @property
    def takes_adjacent(self) -> bool:
        """Whether a step takes `lanes` adjacent elements of K."""
        return type(self).k_order is PEDesign.k_order

    def steps(self, k: int) -> int:
        """Return the steps that K elements take: ceil(K / lanes)."""
        return -(-k // self.lanes)

    def k_order(self, k: int) -> NDArray[np.int64]:
        """Return the element of K of each (step, lane); -1 for a padded zero.

        Adjacent elements by default: step s takes s * lanes .. s * lanes + lanes - 1.
        """
        order = np.arange(self.steps(k) * self.lanes).reshape(-1, self.lanes)
        return np.where(order < k, order, -1)

    def used_activations(self, x: Array) -> Array:
        """Return the activations as the multipliers see them, integers of at most 16 bits.

        The product with `used_weights` is the design's exact result. Unchanged by default.

        Parameters
        ----------
        x : uint8 or int8 (..., K)

        Returns
        -------
        Integers of the same shape; `x` itself where nothing changes.
        """
        return x

    def used_weights(self, w: Array) -> Array:
        """Return the weights as the multipliers see them, integers from -255 to 255.

        Asked once for a layer. Unchanged by default.

        Parameters
        ----------
        w : int8 (..., K, N)

        Returns
        -------
        Integers of the same shape; `w` itself where nothing changes.
        """
        return w

    def matmul(self, x: Array, w: Array) -> NDArray[np.int64]:
        """Return the design's exact arithmetic for X @ W.

        Parameters
        ----------
        x : uint8 or int8 (..., M, K)
        w : int8 (..., K, N)

        Returns
        -------
        int64 (..., M, N)

        Raises
        ------
        InputError
            For other dtypes, shapes that disagree, or activations the design cannot take.
        """
        self.check_operands(x, w)
        if self.values_by_pair:
            raise NotImplementedError(
                f"{self.name} declares values_by_pair, but has no `matmul` of its own"
            )
        return exact_matmul(self.used_activations(x), self.used_weights(w))

    def activation_pair_bits(self, storage: str) -> int:
        """Return the bits of two adjacent activations in memory; `storage`: `MemoryConfig`'s."""
        return 16

    def pair_bits_of(self, layer: Layer) -> Callable[[str], int]:
        """Return `activation_pair_bits` on a layer: those of any, unless they follow its values.

        Asked where memory is modelled.
        """
        return self.activation_pair_bits

    def fixed_step_cycles(self) -> int:
        """Return the cycles of every step, where `cost` is 'shape'."""
        raise _hook_missing(self, "shape")

    def step_cycles(self, x: Array) -> NDArray[np.uint8]:
        """Return the cycles of each step, where `cost` is 'activations'.

        Parameters
        ----------
        x : uint8 or int8 (..., M, K)

        Returns
        -------
        uint8 (..., M, steps)
        """
        raise _hook_missing(self, "activations")

    def weight_step_cycles(self, w: Array) -> NDArray[np.uint8]:
        """Return the cycles of each step, where `cost` is 'weights': of int8 W (..., K, N), filters
        as they come, uint8 (..., steps, N).
        """
        raise _hook_missing(self, "weights")

    def pair_step_cycles(self, x: Array, w: Array) -> NDArray[np.uint8]:
        """Return the cycles of each step, where `cost` is 'pair'.

        Parameters
        ----------
        x : uint8 or int8 (rows, steps, lanes)
            Activations of each step, as `k_order` gives them out.
        w : int8 (steps, lanes, cols)

        Returns
        -------
        uint8 (rows, steps, cols)
        """
        raise _hook_missing(self, "pair")

    def activation_states(self, x: Array) -> NDArray[np.uint8] | None:
        """Return what each step's activations make of the circuit, uint8 (..., M, steps).

        A state is an index into the first list of `state_examples`; None where the design does not
        count its parts.
        """
        return None

    def state_weights(self, w: Array) -> Array:
        """Return the weights whose zeros decide `weight_states`: as they are stored, by default."""
        return w

    def weight_states(self, w: Array) -> NDArray[np.uint8]:
        """Return which lanes of each step have a weight, uint8 bit masks (..., steps, N)."""
        weights = self.state_weights(w)
        if self.takes_adjacent:
            return nonzero_masks(weights.swapaxes(-1, -2), self.lanes).swapaxes(-1, -2)
        in_steps = arranged(weights.swapaxes(-1, -2), self.k_order(w.shape[-2]))
        return nonzero_masks(in_steps.reshape(*in_steps.shape[:-2], -1), self.lanes).swapaxes(
            -1, -2
        )

    def state_examples(self) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
        """Return a tuple of activations per activation state, one of weights per weight state."""
        raise NotImplementedError(f"{self.name} does not count its parts")

    def windows(self, x: Array) -> dict[int, int]:
        """Return how many non-zero activations use a window at each left shift, lone ones apart."""
        return self.pair_windows(magnitude_pairs(x)) if self.windows_by_pairs else {}

    @property
    def windows_by_pairs(self) -> bool:
        """Whether counted pairs of activations tell the windows."""
        return type(self).pair_windows is not PEDesign.pair_windows

    def pair_windows(self, pairs: NDArray[np.int64]) -> dict[int, int]:
        """Return the same of activations whose pairs are counted; none by default.

        Parameters
        ----------
        pairs : int64 (256, 256)
            How many pairs (k, k + 1), k even, have the magnitudes [second, first]; a last element
            without partner pairs with zero.
        """
        return {}

    def check_operands(self, x: Array, w: Array) -> None:
        """Raise InputError unless X (..., M, K) and W (..., K, N) are operands it takes."""
        if x.dtype not in (np.uint8, np.int8):
            raise InputError(f"activations are {x.dtype}, expected uint8 or int8")
        if w.dtype != np.int8:
            raise InputError(f"weights are {w.dtype}, expected int8")
        if x.ndim < 2 or w.ndim < 2 or x.shape[-1] != w.shape[-2]:
            raise InputError(f"x has shape {x.shape} and w {w.shape}, expected (M, K) and (K, N)")
        self.check_signedness(x.dtype == np.int8)

    def check_signedness(self, signed: bool) -> None:
        """Raise InputError for int8 activations given to a design that takes only uint8."""
        if signed and not self.signed_activations:
            raise InputError(
                f"{self.name} takes unsigned activations (uint8 after ReLU), got int8; "
                "designs that take signed activations: see `sparqsim pe list`"
            )


def _hook_missing(pe: PEDesign, cost: Cost) -> NotImplementedError:
    return NotImplementedError(
        f"{pe.name} has cost={pe.cost!r} and no `{COST_HOOKS[cost]}` of its own"
    )

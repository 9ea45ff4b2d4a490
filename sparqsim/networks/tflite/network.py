"""A TFLite network as layers: the interpreter runs it, and its own 8-bit integers are taken."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sparqsim.base.errors import InputError
from sparqsim.base.wording import counted
from sparqsim.networks.chosen_layers import kept_layers
from sparqsim.networks.images import Pictures
from sparqsim.networks.recipes import (
    chosen_kept,
    kept_option,
    recipe_entry,
    stated_kept,
    with_own_codes,
)
from sparqsim.networks.site import Operands
from sparqsim.networks.stating import OWN_CODES
from sparqsim.networks.tflite.fixedpoint import codes_of
from sparqsim.networks.tflite.interpreter import Interpreter
from sparqsim.networks.tflite.leftout import macs_of
from sparqsim.networks.tflite.macs import described, read_operators, skipped_operators
from sparqsim.networks.tflite.model import Array, Model, Tensor
from sparqsim.networks.tflite.quantised import check_activation, is_quantised
from sparqsim.quantise.codes import OWN_SCALES
from sparqsim.quantise.recipe import Recipe
from sparqsim.trace.coverage import Tally

#: What an input may be.
INPUT_DTYPES = (np.float32, np.float16, np.uint8, np.int8)


def only_input(model: Model) -> Tensor:
    """Return the tensor that pictures go to. Raises InputError for another number of inputs."""
    inputs = [model.tensors[at] for at in model.inputs]
    if len(inputs) != 1:
        names = ", ".join(repr(tensor.name) for tensor in inputs) or "none"
        raise InputError(
            f"{model.path}: takes {counted(len(inputs), 'input')} ({names}), expected one"
        )
    if inputs[0].dtype not in INPUT_DTYPES:
        raise InputError(
            f"{model.path}: input {inputs[0].name!r} is {inputs[0].kind}, expected one of "
            f"{', '.join(np.dtype(dtype).name for dtype in INPUT_DTYPES)}"
        )
    return inputs[0]


def prepared(model: Model, pictures: Pictures) -> Iterator[Array]:
    """Yield inputs as the model takes them, one by one.

    Real numbers that are ready for an 8-bit input are quantised by its scale, as QUANTIZE does.
    """
    tensor = only_input(model)
    ready = pictures.ready
    real_to_codes = ready is not None and ready.dtype.kind == "f" and tensor.dtype != np.float32
    if real_to_codes and not is_quantised(tensor):
        check_activation(tensor)
    for batch in pictures.batches(1, "nhwc", np.float32 if real_to_codes else tensor.dtype):
        yield codes_of(batch[0], tensor) if real_to_codes else batch[0]


class TfliteSites:
    """See `sparqsim.networks.dump.SiteNetwork`.

    Parameters
    ----------
    path : str or Path
        The .tflite file.
    skip : operators (kind or name) to leave out
    keep_8bit : layers that stay at 8 bits
        Default: the first convolution and the last layer.
    recipe : Recipe, optional
        Says `keep_8bit`, and how wide accumulators are; the codes are the network's own.

    Raises
    ------
    InputError
        For a model that is not 8-bit, or has unsupported operators, and for what a recipe asks for
        and codes cannot take.
    """

    origin = "sparqsim trace dump (TFLite interpreter)"
    calibrator = OWN_SCALES
    notes: tuple[str, ...] = ()

    def __init__(
        self,
        path: str | Path,
        skip: Collection[str] = (),
        keep_8bit: Collection[str] | None = None,
        recipe: Recipe | None = None,
    ) -> None:
        chosen = Recipe.stated(recipe, keep_8bit=stated_kept(keep_8bit))
        self.model = Model(path)
        self.macs = read_operators(self.model, skip)
        ops = [(mac.name, mac.op) for mac in self.macs]
        kept = kept_layers(ops, chosen_kept(chosen), kept_option(recipe))
        own = tuple(mac.site(mac.name in kept) for mac in self.macs)
        made = with_own_codes(chosen, own, "TFLite network")
        self.sites = made.sites
        #: The recipe's title, '' where none was given.
        self.recipe = "" if recipe is None else chosen.title
        # Batch norms that the converter folded leave no mark in the file: nothing is said of them.
        self.provenance: dict[str, Any] = OWN_CODES.entry()
        if recipe is not None:
            self.provenance |= recipe_entry(chosen, made)
        self._left_out = skipped_operators(self.model, skip)
        #: Operators left out, 'name (kind)'.
        self.skipped = tuple(map(described, self._left_out))
        only_input(self.model)

    @property
    def name(self) -> str:
        """The model's file name."""
        return self.model.path.name

    def operands(self, pictures: Pictures, left_out: Tally) -> Iterator[dict[str, Operands]]:
        """Yield every layer's operands, picture after picture."""
        interpreter = Interpreter(self.model)
        sources = list(dict.fromkeys(mac.source.index for mac in self.macs))
        for picture in prepared(self.model, pictures):
            values = interpreter.run(picture, sources)
            for operator in self._left_out:
                macs = macs_of(self.model, operator)
                left_out.add(operator.name, f"{operator.kind}, left out by --skip", macs)
            yield {mac.name: mac.operands(values[mac.source.index]) for mac in self.macs}

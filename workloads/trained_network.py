"""A network whose weights were learned at few bits, as sparqsim holds quantised networks.

Batch normalisation is folded here: codes stay as they were learned, their scales take its gain, and
a channel of negative gain has its codes negated. Activations get 8 bits on calibration pictures, as
those of any PyTorch network. `save` of what `quantised` returns writes a file that
`sparqsim.torch.QuantisedNetwork.load` reads beside the network of `plain_network`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from digits_network import FloatLayer, Network, fold_layer, run_network
from few_bits import Codes
from torch import Tensor, nn

from sparqsim.networks.recipes import weight_codes
from sparqsim.quantise.weights import QuantisedWeights
from sparqsim.torch import QuantisedNetwork
from sparqsim.trace.quantisation import BY_A_LIST

Batches = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class TrainedLayer:
    """A layer to be run: batch normalisation folded; `weights`: its codes, channel innermost."""

    layer: FloatLayer
    weights: QuantisedWeights


class PlainNetwork(nn.Module):
    """The digits network of convolutions and a classifier alone, named as in the shipped trace."""

    def __init__(self, layers: Mapping[str, FloatLayer]) -> None:
        super().__init__()
        for name, layer in layers.items():
            *path, last = name.split(".")
            place: nn.Module = self
            for part in path:
                if not hasattr(place, part):
                    place.add_module(part, nn.Module())
                place = place.get_submodule(part)
            place.add_module(last, _module(layer))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits float32 (batch, 10) of images float32 (batch, 1, height, width)."""
        return run_network(lambda name, x: self.get_submodule(name)(x), images)


def trained_layers(network: Network, codes: Mapping[str, Codes]) -> dict[str, TrainedLayer]:
    """Return the layers of a network whose weights are `codes`, batch normalisation folded."""
    return {name: _trained(network.layer(name), codes[name]) for name in network.names}


def plain_network(layers: Mapping[str, TrainedLayer]) -> PlainNetwork:
    """Return the network of the real weights that codes stand for."""
    return PlainNetwork({name: each.layer for name, each in layers.items()}).eval()


def quantised(
    layers: Mapping[str, TrainedLayer],
    calibration: Batches,
    *,
    trainer: str,
    seed: int,
    listed: bool,
) -> QuantisedNetwork:
    """Return the network with the learned codes, all layers at their own bits.

    Parameters
    ----------
    layers : mapping
    calibration : list of (pictures, labels)
        That activation scales are found on.
    trainer : str
        What learned the weights, for the quantization card.
    seed : int
    listed : bool
        Whether it chose bits layer by layer: the card says so.
    """
    made = QuantisedNetwork(plain_network(layers), calibration, keep_8bit="none")
    made.layers = {
        name: replace(site, weights=weight_codes(layers[name].weights))
        for name, site in made.layers.items()
    }
    made.stated = made.stated.model_copy(
        update={
            "weight_quantiser": f"codes learned by {trainer}, batch norms folded into scales",
            "training": f"{BY_A_LIST if listed else ''}{trainer}, trained here",
            "seeds": f"{seed}, of weights, order and shifts of pictures",
        }
    )
    return made


def _module(layer: FloatLayer) -> nn.Module:
    outputs, inputs, *kernel = layer.weight.shape
    module: nn.Module
    if kernel:
        module = nn.Conv2d(inputs, outputs, tuple(kernel), layer.stride, layer.padding)
    else:
        module = nn.Linear(inputs, outputs)
    with torch.no_grad():
        module.weight.copy_(layer.weight)
        module.bias.copy_(layer.bias)
    return module


def _trained(module: nn.Module, codes: Codes) -> TrainedLayer:
    folded = fold_layer(module)
    gain = _gain(module)
    signs = torch.where(gain < 0, -1, 1).reshape(-1, *[1] * (codes.values.ndim - 1))
    scales = (gain.abs() * codes.step).numpy()
    # A channel of gain 0 gives its bias alone: any scale above 0 holds codes of 0.
    values = torch.where((gain == 0).reshape(signs.shape), 0, codes.values * signs)
    weights = QuantisedWeights(
        channel_innermost(values).astype(np.int8),
        np.where(scales > 0, scales, 1).astype(np.float32),
        codes.weight_bits,
    )
    real = np.moveaxis(weights.real, 1, 2).reshape(codes.values.shape)
    return TrainedLayer(replace(folded, weight=torch.from_numpy(real.copy())), weights)


def channel_innermost(values: Tensor) -> np.ndarray:
    """Return weights (output, input[, height, width]) as (output, kernel position, input)."""
    return np.moveaxis(values.numpy().reshape(*values.shape[:2], -1), 1, 2)


def _gain(module: nn.Module) -> Tensor:
    """Return what batch normalisation multiplies each output channel by, float64 (output,)."""
    if isinstance(module, nn.Linear):
        return torch.ones(len(module.weight), dtype=torch.float64)
    _, norm = module
    return norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)

"""ONNX networks and files of quantised networks: from one to the other."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sparqsim.base.errors import InputError, unreadable
from sparqsim.networks.images import Pictures
from sparqsim.networks.onnx.batching import batching
from sparqsim.networks.onnx.einsum import with_products
from sparqsim.networks.onnx.fold import folded
from sparqsim.networks.onnx.graph import Graph
from sparqsim.networks.onnx.network import Network, own_codes, sources_of
from sparqsim.networks.onnx.reader import read_nodes
from sparqsim.networks.onnx.running import with_sites
from sparqsim.networks.onnx.session import Session
from sparqsim.networks.onnx.skipped import skipped_nodes
from sparqsim.networks.saved import SavedNetwork
from sparqsim.quantise.codes import ActivationCodes


def digest_of(path: str | Path) -> str:
    """Return the SHA-256 of a model file's bytes; weights in files beside it are not in it."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        raise InputError(f"{unreadable(path, error)}; expected a model (.onnx)") from None


def restored(
    path: str | Path, saved: SavedNetwork, pictures: Pictures, batch: int | None = None
) -> Network:
    """Return a network with the integers and scales of a file; nothing is measured.

    Parameters
    ----------
    path : str or Path
        The ONNX file that was quantised.
    saved : SavedNetwork
    pictures : Pictures
        One batch is run, for shapes and types.
    batch : int or None
        As in `sparqsim.networks.onnx.network.calibrated`.

    Raises
    ------
    InputError
        For another network than the one that was quantised.
    """
    about = saved.document
    saved.check_source(digest_of(path), str(path))
    left_out = frozenset(about.skip)
    without_norms = folded(with_products(Graph.load(path).modern(), left_out))
    graph = without_norms.graph
    nodes = tuple(read_nodes(graph, left_out))
    saved.check_layers([node.name for node in nodes])
    tensors = sources_of(nodes)
    batches = batching(graph, pictures, [*tensors, *graph.outputs], batch)
    example = next(Session(graph, tensors).batches(pictures, batches.size))
    codes = saved.codes()
    own = own_codes(nodes)
    saved.check_chosen(
        (node.name, place)
        for node in nodes
        for place, tensor in enumerate(node.tensors)
        if (node.name, place) in codes and tensor not in own
    )
    by_tensor: dict[str, ActivationCodes] = {}
    for node in nodes:
        by_tensor |= {
            tensor: codes[node.name, place]
            for place, tensor in enumerate(node.tensors)
            if (node.name, place) in codes
        }
    network = Network(
        graph=graph,
        folded=without_norms.pairs,
        nodes=nodes,
        codes=by_tensor | own,
        shapes={name: values.shape for name, values in example.items()},
        dtypes={name: values.dtype for name, values in example.items()},
        kept=saved.kept,
        left_out=skipped_nodes(graph, left_out),
        calibrator=about.calibrator,
        batch=batches.size,
        notes=tuple(filter(None, [batches.note, saved.preprocess_note(pictures.preprocess.spec)])),
        accumulator_bits=about.layers[0].accumulator_bits,
        recipe=about.recipe_title,
        recipe_entry=about.recipe,
        stated=about.stated,
    )
    return with_sites(network, saved.restored(network.sites))

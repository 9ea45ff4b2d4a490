"""Opening a model file: the one guarded way, for traces, shapes and accuracy alike.

Every string of the file is UTF-8, every tensor is made once and before it is used, data beside the
file stay in its folder, local functions are written out and sparse initializers are made dense.
Whatever is not so is an InputError that names the file and the place in it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np

from sparqsim.base.errors import InputError, unreadable
from sparqsim.base.limits import ONNX_ELEMENTS, ONNX_NODES
from sparqsim.base.wording import counted
from sparqsim.networks.images import needed
from sparqsim.networks.onnx.guard import elements, library_errors

#: protobuf's numbers of the field types 'string' and 'message'.
STRING, MESSAGE = 9, 11


def load_model(path: str | Path, *, data: bool = True) -> Any:
    """Return the model of a file, in a form that the readers here can rely on.

    Parameters
    ----------
    path : str or Path
    data : bool
        Whether initializers kept in files beside it are read; without, only their shapes are known.

    Raises
    ------
    InputError
        Naming the file and what is wrong in it.
    """
    onnx = needed("onnx", "onnx")
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"{unreadable(path, error)}, expected an ONNX model") from None
    with library_errors(f"{path}: not a readable ONNX model"):
        model = onnx.ModelProto.FromString(content)
    _check_strings(model, path)
    _check_attributes(model, path)
    if not model.graph.node:
        raise InputError(f"{path}: not a readable ONNX model (its graph has no nodes)")
    if data:
        _load_beside(model, Path(path))
    with library_errors(f"{path}: a sparse initializer cannot be read"):
        _make_dense(model, path)
    with library_errors(f"{path}: its local functions cannot be written out"):
        model = _inlined(model, path)
    _free_empty_batches(model)
    _check_inputs(model, path)
    _order(model, path)
    return model


def _free_empty_batches(model: Any) -> None:
    """Free a first axis that is written as 0 or -1: some exporters mean any size by it."""
    for value in (*model.graph.input, *model.graph.output):
        axes = value.type.tensor_type.shape.dim
        if axes and axes[0].HasField("dim_value") and axes[0].dim_value <= 0:
            axes[0].dim_param = "batch"


def messages(root: Any) -> Iterator[Any]:
    """Yield a protobuf message and all inside it, without recursion."""
    waiting = [root]
    while waiting:
        each = waiting.pop()
        yield each
        for field, value in each.ListFields():
            if field.type == MESSAGE:
                waiting.extend([value] if hasattr(value, "ListFields") else value)


def _check_strings(model: Any, path: str | Path) -> None:
    """Refuse strings that are not UTF-8: the library hands those out as bytes, later, anywhere."""
    for message in messages(model):
        for field, value in message.ListFields():
            if field.type != STRING:
                continue
            for text in [value] if isinstance(value, str | bytes) else value:
                if isinstance(text, bytes):
                    raise InputError(
                        f"{path}: {type(message).__name__}.{field.name} is {text[:40]!r}, "
                        "expected UTF-8 text"
                    )


def _check_attributes(model: Any, path: str | Path) -> None:
    """Refuse attributes without a value, or of another type than the operator's."""
    onnx = needed("onnx", "onnx")
    for node in (each for each in messages(model) if isinstance(each, onnx.NodeProto)):
        known = _attribute_types(node.op_type, node.domain)
        for attribute in node.attribute:
            # References to a function's own attributes (ref_attr_name) have no value yet.
            if attribute.ref_attr_name:
                continue
            what = (
                f"{path}: node {node.name or node.op_type!r}: attribute {attribute.name!r} cannot "
                "be read"
            )
            with library_errors(what):
                value = onnx.helper.get_attribute_value(attribute)
            expected = known.get(attribute.name, attribute.type)
            if value is None or attribute.type != expected:
                raise InputError(
                    f"{what}: it is of type {attribute.type}, expected type {expected} with a value"
                )


def _check_inputs(model: Any, path: str | Path) -> None:
    """Refuse nodes without an input that their operator needs: readers count on it."""
    onnx = needed("onnx", "onnx")
    versions = {each.domain: each.version for each in model.opset_import}
    for node in (each for each in messages(model.graph) if isinstance(each, onnx.NodeProto)):
        places = _needed_inputs(node.op_type, node.domain, versions.get(node.domain, 0))
        given = [at for at in places if at < len(node.input) and node.input[at]]
        if len(given) < len(places):
            raise InputError(
                f"{path}: node {node.name or node.op_type!r}: {node.op_type} has "
                f"{counted(len(given), 'input')}, expected at least {len(places)}"
            )


@cache
def _needed_inputs(operator: str, domain: str, version: int) -> tuple[int, ...]:
    """Return the places of the inputs that an operator needs; () where ONNX does not know it."""
    defs = needed("onnx.defs", "onnx")
    if version < 1 or not defs.has(operator, version, domain):
        return ()
    inputs = defs.get_schema(operator, version, domain).inputs
    single = defs.OpSchema.FormalParameterOption.Single
    return tuple(at for at, each in enumerate(inputs) if each.option == single)


@cache
def _attribute_types(operator: str, domain: str) -> dict[str, int]:
    """Return the types of an operator's attributes, as ONNX's newest version has them."""
    defs = needed("onnx.defs", "onnx")
    if not defs.has(operator, domain):
        return {}
    schema = defs.get_schema(operator, domain)
    return {name: int(each.type.value) for name, each in schema.attributes.items()}


def _load_beside(model: Any, path: Path) -> None:
    """Read the initializers that are kept in other files: of the model's own folder only."""
    onnx, data = needed("onnx", "onnx"), needed("onnx.external_data_helper", "onnx")
    folder = path.resolve().parent
    for tensor in (each for each in messages(model) if isinstance(each, onnx.TensorProto)):
        if not data.uses_external_data(tensor):
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        what = f"{path}: initializer {tensor.name!r}: its data in {location!r}"
        target = (folder / location).resolve()
        if not location or Path(location).is_absolute() or not target.is_relative_to(folder):
            raise InputError(f"{what} lie outside of the model's folder, expected a file in it")
        if not target.is_file():
            raise InputError(f"{what} are missing, expected that file beside the model")
        _check_extent(entries, target.stat().st_size, what)
        with library_errors(f"{what} cannot be read"):
            data.load_external_data_for_tensor(tensor, str(folder))
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _check_extent(entries: dict[str, str], size: int, what: str) -> None:
    numbers = []
    for key in ("offset", "length"):
        text = entries.get(key, "") or "0"
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise InputError(f"{what} have {key}={text[:40]!r}, expected a number of bytes")
        numbers.append(int(text))
    if sum(numbers) > size:
        raise InputError(
            f"{what} end at byte {sum(numbers)}, expected at most {size}, the size of the file"
        )


def _make_dense(model: Any, path: str | Path) -> None:
    """Turn sparse initializers into dense ones: what follows knows one kind."""
    numpy_helper = needed("onnx.numpy_helper", "onnx")
    for sparse in model.graph.sparse_initializer:
        name, dims = sparse.values.name, tuple(sparse.dims)
        what = f"{path}: sparse initializer {name!r}"
        ONNX_ELEMENTS.check(elements(dims), what)
        values, indices = (
            numpy_helper.to_array(each).ravel()
            if each is sparse.values
            else numpy_helper.to_array(each)
            for each in (sparse.values, sparse.indices)
        )
        if indices.ndim == 2 and indices.shape[1] == len(dims):
            if ((indices < 0) | (indices >= np.array(dims))).any():
                raise InputError(f"{what} has an index beyond its shape {dims}")
            indices = np.ravel_multi_index(tuple(indices.T), dims)
        dense = np.zeros(elements(dims), values.dtype)
        if indices.shape != values.shape or ((indices < 0) | (indices >= dense.size)).any():
            raise InputError(
                f"{what} has indices of shape {indices.shape}, expected one for each of its "
                f"{len(values)} values, inside of {dims}"
            )
        dense[indices] = values
        model.graph.initializer.append(numpy_helper.from_array(dense.reshape(dims), name))
    del model.graph.sparse_initializer[:]


def _inlined(model: Any, path: str | Path) -> Any:
    """Return the model with its local functions written out."""
    if not model.functions:
        return model
    inliner = needed("onnx.inliner", "onnx")
    ONNX_NODES.check(_nodes_written_out(model, path), f"{path}: local functions written out")
    return inliner.inline_local_functions(model, convert_version=True)


def _nodes_written_out(model: Any, path: str | Path) -> int:
    """Return how many nodes a model has once its functions are written out; none calls itself."""
    onnx = needed("onnx", "onnx")
    bodies = {(each.domain, each.name): each for each in model.functions}
    calls = {
        key: [
            (node.domain, node.op_type)
            for node in messages(body)
            if isinstance(node, onnx.NodeProto)
        ]
        for key, body in bodies.items()
    }
    counts: dict[tuple[str, str], int] = {}
    try:
        for key in TopologicalSorter(
            {name: set(inner) & set(bodies) for name, inner in calls.items()}
        ).static_order():
            counts[key] = sum(counts.get(call, 1) for call in calls[key])
    except CycleError:
        raise InputError(
            f"{path}: local functions call one another in a circle, expected an end"
        ) from None
    return sum(counts.get((node.domain, node.op_type), 1) for node in model.graph.node)


def _order(model: Any, path: str | Path) -> None:
    """Check that every tensor is made once, and put nodes in the order of their use."""
    graph = model.graph
    given = {value.name for value in graph.input} | {each.name for each in graph.initializer}
    makers: dict[str, int] = {}
    for at, node in enumerate(graph.node):
        for name in filter(None, node.output):
            if name in given or name in makers:
                raise InputError(
                    f"{path}: tensor {name!r} is made twice, once by node "
                    f"{node.name or node.op_type!r}; expected one maker"
                )
            makers[name] = at
    used = [uses(node) for node in graph.node]
    for node in graph.node:
        for name in filter(None, node.input):
            if name not in given and name not in makers:
                raise InputError(
                    f"{path}: node {node.name or node.op_type!r} takes {name!r}, which no input, "
                    "initializer or node gives"
                )
    for value in graph.output:
        if value.name not in given and value.name not in makers:
            raise InputError(f"{path}: output {value.name!r} is made by no node")
    before = [{makers[name] for name in names if name in makers} for names in used]
    if all(max(earlier, default=-1) < at for at, earlier in enumerate(before)):
        return
    nodes = [graph.node[at] for at in _sorted(before, graph.node, path)]
    copies = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _sorted(before: list[set[int]], nodes: Any, path: str | Path) -> list[int]:
    """Return the nodes' numbers so that makers come first, else in the file's order."""
    after: dict[int, list[int]] = {}
    for at, earlier in enumerate(before):
        for maker in earlier:
            after.setdefault(maker, []).append(at)
    missing = [len(earlier) for earlier in before]
    ready = [at for at, count in enumerate(missing) if count == 0]
    order = []
    while ready:
        at = heapq.heappop(ready)
        order.append(at)
        for later in after.get(at, ()):
            missing[later] -= 1
            if missing[later] == 0:
                heapq.heappush(ready, later)
    if len(order) < len(before):
        first = min(set(range(len(before))) - set(order))
        raise InputError(
            f"{path}: node {nodes[first].name or nodes[first].op_type!r} needs its own output, "
            "expected a graph without cycles"
        )
    return order


def uses(node: Any) -> set[str]:
    """Return the tensors of the graph that a node takes, itself or in the graphs inside it."""
    onnx = needed("onnx", "onnx")
    used: set[str] = set()
    inner: set[str] = set()
    for each in messages(node):
        if isinstance(each, onnx.NodeProto) and each is not node:
            used.update(each.input)
            inner.update(each.output)
        elif isinstance(each, onnx.GraphProto):
            inner.update(value.name for value in (*each.input, *each.initializer))
            used.update(value.name for value in each.output)
    return (used - inner | set(node.input)) - {""}

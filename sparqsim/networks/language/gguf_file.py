"""A language model of Llama's architecture from a GGUF file, read by the package `gguf`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sparqsim.base.errors import InputError
from sparqsim.base.wording import install_hint
from sparqsim.networks.language.llama import Llama, Sizes, empty, with_weights
from sparqsim.networks.language.words import Words

ARCHITECTURE = "llama"
#: A tensor's name in the file -> ours; those of block N stand behind 'blk.N.' and 'blocks.N.'.
WHOLE = {
    "token_embd.weight": "embedding.weight",
    "output_norm.weight": "norm.weight",
    "output.weight": "head.weight",
}
OF_BLOCKS = {
    "attn_norm.weight": "attention_norm.weight",
    "attn_q.weight": "attention.query.weight",
    "attn_k.weight": "attention.key.weight",
    "attn_v.weight": "attention.value.weight",
    "attn_output.weight": "attention.output.weight",
    "ffn_norm.weight": "feed_forward_norm.weight",
    "ffn_gate.weight": "feed_forward.gate.weight",
    "ffn_up.weight": "feed_forward.up.weight",
    "ffn_down.weight": "feed_forward.down.weight",
}


class LanguageModel(NamedTuple):
    """A network and its tokenizer.

    formats: how many tensors are stored in which format, most first.
    """

    model: Llama
    words: Words
    name: str
    formats: dict[str, int]


def load_gguf(path: str | PathLike[str]) -> LanguageModel:
    """Return the language model of a GGUF file.

    Weights are float32: what the file's codes, scales and minima stand for.

    Raises
    ------
    InputError
        For a file that is no GGUF, another architecture, tensors that are missing or unknown, and
        without the package `gguf`.
    """
    opened = _Opened.of(Path(path))
    sizes = _sizes(opened)
    words = Words(
        opened.field("tokenizer.ggml.tokens", list),
        opened.field("tokenizer.ggml.merges", list),
        opened.field("tokenizer.ggml.pre", str),
        opened.place,
    )
    weights = dict(opened.weights())
    model = with_weights(empty(sizes), weights, opened.place)
    name = opened.field("general.name", str, default=Path(path).stem)
    return LanguageModel(model, words, name, opened.formats)


def _sizes(opened: _Opened) -> Sizes:
    """Return the network's sizes. Raises InputError for what this architecture does not have."""
    found = opened.field("general.architecture", str)
    if found != ARCHITECTURE:
        raise InputError(
            f"{opened.place}: general.architecture={found!r}, expected {ARCHITECTURE!r}"
        )

    def of(name: str, kind: type, default: Any = None) -> Any:
        return opened.field(f"{ARCHITECTURE}.{name}", kind, default)

    heads = of("attention.head_count", int)
    tokens = opened.field("tokenizer.ggml.tokens", list)
    given = {
        "vocabulary": of("vocab_size", int, len(tokens)),
        "width": of("embedding_length", int),
        "hidden": of("feed_forward_length", int),
        "blocks": of("block_count", int),
        "heads": heads,
        "kv_heads": of("attention.head_count_kv", int, heads),
        "rotary_base": of("rope.freq_base", float, 10_000.0),
        "norm_epsilon": of("attention.layer_norm_rms_epsilon", float),
        "context": of("context_length", int, 0) or None,
    }
    try:
        sizes = Sizes(**given)
    except InputError as error:
        raise InputError(f"{opened.place}: {error}") from None
    held = len(opened.reader.tensors)
    # Before a network is made: one of 2^32 blocks would take all memory.
    if sizes.blocks > held:
        raise InputError(
            f"{opened.place}: llama.block_count={sizes.blocks}, expected at most {held}, one for "
            "each tensor"
        )
    scaling = of("rope.scaling.type", str, "none")
    if scaling != "none":
        raise InputError(f"{opened.place}: llama.rope.scaling.type={scaling!r}, expected none")
    for name in ("rope.dimension_count", "attention.key_length", "attention.value_length"):
        width = of(name, int, sizes.head)
        if width != sizes.head:
            raise InputError(f"{opened.place}: llama.{name}={width}, expected {sizes.head}")
    return sizes


@dataclass(frozen=True)
class _Opened:
    """A GGUF file, open: fields by name, tensors one after another."""

    place: str
    reader: Any
    dequantize: Any

    @classmethod
    def of(cls, path: Path) -> _Opened:
        """Open a file. Raises InputError for what is none, or cannot be read."""
        try:
            import gguf
        except ModuleNotFoundError:
            raise InputError(
                f"{path}: needs the package gguf, which is not installed; expected "
                f"{install_hint('llm')}"
            ) from None
        if not path.is_file():
            raise InputError(f"{path}: no such file, expected a GGUF file")
        try:
            reader = gguf.GGUFReader(str(path))
        except Exception as error:  # noqa: BLE001 - the package raises what it meets
            text = " ".join(str(error).split())[:200]
            raise InputError(f"{path}: no GGUF file ({text})") from None
        return cls(str(path), reader, gguf.dequantize)

    @property
    def formats(self) -> dict[str, int]:
        """How many tensors are stored in which format, most first."""
        found = [tensor.tensor_type.name for tensor in self.reader.tensors]
        names = sorted(set(found), key=lambda name: (-found.count(name), name))
        return {name: found.count(name) for name in names}

    def field(self, name: str, kind: type, default: Any = None) -> Any:
        """Return a field of the file. Raises InputError where it is missing, or another kind."""
        found = self.reader.fields.get(name)
        value = default if found is None else found.contents()
        if kind is float and isinstance(value, int):
            value = float(value)
        if not isinstance(value, kind):
            shown = "is missing" if value is None else f"is a {type(value).__name__}"
            raise InputError(f"{self.place}: {name} {shown}, expected a {kind.__name__}")
        return value

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """Yield (our name, float32 values) of every tensor. Raises InputError for another one."""
        for tensor in self.reader.tensors:
            try:
                values = self.dequantize(tensor.data, tensor.tensor_type)
            except Exception as error:  # noqa: BLE001 - the package raises what it meets
                text = " ".join(str(error).split())[:200]
                raise InputError(f"{self.place}: tensor {tensor.name!r}: {text}") from None
            # A copy: the file's own values are mapped, and read-only.
            yield self._renamed(tensor.name), torch.from_numpy(values.astype("float32"))

    def _renamed(self, name: str) -> str:
        of_block = re.fullmatch(r"blk\.([0-9]+)\.(.+)", name)
        ours = WHOLE.get(name) if of_block is None else OF_BLOCKS.get(of_block[2])
        if ours is None:
            raise InputError(
                f"{self.place}: tensor {name!r} has no place in this architecture, expected "
                f"{', '.join(WHOLE)}, and blk.N. with {', '.join(OF_BLOCKS)}"
            )
        return ours if of_block is None else f"blocks.{of_block[1]}.{ours}"

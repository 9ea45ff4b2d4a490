"""The tokenizer that a GGUF file carries: byte-level pairs, as GPT-2 has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sparqsim.base.errors import InputError
from sparqsim.base.wording import install_hint

#: How a text is cut before pairs are joined, by the file's `tokenizer.ggml.pre`; whether each digit
#: stands alone.
SINGLE_DIGITS = {"smollm": True, "gpt-2": False}


class Words:
    """Text as token numbers, and back.

    Parameters
    ----------
    tokens : sequence of str
        The vocabulary, in byte-level letters.
    merges : sequence of str
        Pairs 'A B' that are joined, first come first.
    cut : str
        How a text is cut: a key of `SINGLE_DIGITS`.
    source : str
        Where they come from, for errors.

    Raises
    ------
    InputError
        For another way to cut, tokens and merges that do not fit, or without the library
        `tokenizers`.
    """

    def __init__(
        self, tokens: Sequence[str], merges: Sequence[str], cut: str, source: str = "tokenizer"
    ) -> None:
        if cut not in SINGLE_DIGITS:
            raise InputError(
                f"{source}: tokenizer.ggml.pre={cut!r}, expected {' or '.join(SINGLE_DIGITS)}"
            )
        vocabulary = {token: number for number, token in enumerate(tokens)}
        pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
        self._tokenizer = _tokenizer(vocabulary, pairs, SINGLE_DIGITS[cut], source)

    def tokens(self, text: str) -> Tensor:
        """Return a text's token numbers, int64 (1, tokens), nothing put before or behind them."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return torch.tensor([ids], dtype=torch.int64)

    def text(self, tokens: Tensor) -> str:
        """Return the text of token numbers."""
        found: str = self._tokenizer.decode(tokens.flatten().tolist(), skip_special_tokens=False)
        return found


def _tokenizer(
    vocabulary: dict[str, int], pairs: list[tuple[str, str]], single_digits: bool, source: str
) -> Any:
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    except ModuleNotFoundError:
        raise InputError(
            f"{source}: needs the library tokenizers, which is not installed; expected "
            f"{install_hint('llm')}"
        ) from None
    try:
        made = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs))
    except Exception as error:  # noqa: BLE001 - the library raises plain exceptions
        raise InputError(f"{source}: tokens and merges do not fit ({error})") from None
    by_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = [pre_tokenizers.Digits(individual_digits=True)] if single_digits else []
    made.pre_tokenizer = pre_tokenizers.Sequence([*digits, by_bytes])
    made.decoder = decoders.ByteLevel()
    return made

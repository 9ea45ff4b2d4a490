"""Words of a text as rows of a table, by a tokenizer in a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparqsim.base.errors import InputError
from sparqsim.base.wording import install_hint
from sparqsim.gather.table import PACKAGED_TOKENIZER, packaged


def rows_of_lines(lines: Sequence[str], tokenizer: str | None = None) -> list[NDArray[np.int64]]:
    """Return the rows of each line's tokens, int64, without those that mark beginning and end.

    Parameters
    ----------
    lines : sequence of str
    tokenizer : str, optional
        A file of the library `tokenizers`; default: that of the package `wordllama`.

    Raises
    ------
    InputError
        Where the library is not installed, or the file is no tokenizer.
    """
    encoded = _opened(tokenizer).encode_batch(list(lines), add_special_tokens=False)
    return [np.array(each.ids, np.int64) for each in encoded]


def _opened(path: str | None) -> Any:
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError:
        raise InputError(
            "text: needs the library tokenizers, which is not installed; expected "
            f"{install_hint('gather')}, or a file of row numbers"
        ) from None
    file = packaged(PACKAGED_TOKENIZER) if path is None else Path(path)
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # noqa: BLE001 - the library raises plain exceptions
        raise InputError(
            f"{file}: no tokenizer ({error}); expected a file of the library tokenizers (.json)"
        ) from None

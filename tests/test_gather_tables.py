"""Embedding tables of bf16, and DRAM pages that bursts do not fill."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from sparqsim import InputError, load_trace
from sparqsim.gather.table import load_table
from sparqsim.memory.accelerator import parse_accelerator
from sparqsim.memory.config import Accelerator, GatherConfig, MemoryConfig


def written(path: Path, codes: list[list[int]], dtype: str = "BF16") -> Path:
    """Write a safetensors file by hand: NumPy has no bf16."""
    data = b"".join(struct.pack("<H", code) for row in codes for code in row)
    shape = [len(codes), len(codes[0])]
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, len(data)]}
    header = json.dumps({"embedding.weight": entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + data)
    return path


def real(code: int) -> float:
    """Return the number of a bf16 code: sign, 8 bits of exponent, 7 of fraction."""
    sign, exponent, fraction = -1 if code >> 15 else 1, code >> 7 & 0xFF, code & 0x7F
    if exponent == 0:
        return sign * fraction / 128 * 2.0**-126
    return sign * (1 + fraction / 128) * 2.0 ** (exponent - 127)


def test_every_finite_bf16_is_read_exactly(tmp_path):
    codes = [code for code in range(1 << 16) if code >> 7 & 0xFF != 0xFF]
    rows = [codes[at : at + 510] for at in range(0, len(codes), 510)]
    table = load_table(written(tmp_path / "t.safetensors", rows))
    assert (table.dtype, table.values.dtype) == ("bfloat16", np.float32)
    assert table.values.reshape(-1).tolist() == [real(code) for code in codes]
    assert np.signbit(table.values.reshape(-1)).tolist() == [code >> 15 == 1 for code in codes]


def test_bf16_that_is_no_number_names_its_row(tmp_path):
    for code, shown in ((0x7FC0, "nan"), (0xFF80, "-inf")):
        path = written(tmp_path / "t.safetensors", [[0x3F80, 0], [0, code]])
        with pytest.raises(InputError, match=f"row 1: element 1 is {shown}, expected finite"):
            load_table(path)


def test_other_readers_refuse_bf16_still(tmp_path):
    with pytest.raises(InputError, match=r"tensor .embedding.weight. is .BF16., expected one of"):
        load_trace(written(tmp_path / "t.safetensors", [[0, 1]]))
    with pytest.raises(
        InputError, match=r"uint16 \(1, 2\), expected rows x elements of fp16, bf16"
    ):
        load_table(written(tmp_path / "t.safetensors", [[0, 1]], "U16"))


def test_pages_are_whole_bursts():
    said = "gather.page_bytes=100: expected 0, or a multiple of dram.burst_bytes=64"
    with pytest.raises(InputError, match=f"^a.toml: {said}$"):
        parse_accelerator("[gather]\npage_bytes = 100", "a.toml")
    with pytest.raises(InputError, match=f"^{said}$"):
        Accelerator(MemoryConfig(), gather=GatherConfig(page_bytes=100))
    assert parse_accelerator("[gather]\npage_bytes = 192", "a.toml").gather.page_bytes == 192
    small = "[dram]\nburst_bytes = 20\nrequest_bytes = 400\n[gather]\npage_bytes = 100"
    assert parse_accelerator(small, "a.toml").gather.page_bytes == 100

"""What the RTL tests share. They need Icarus Verilog, and say so where it is missing."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable

import numpy as np
import pytest

from sparqsim.array.config import ArrayConfig
from sparqsim.pe import PEDesign
from sparqsim.rtl.check import check_gemm


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [tool for tool in ("iverilog", "vvp") if shutil.which(tool) is None]
    for item in items:
        if "tests/rtl/" in item.path.as_posix():
            item.add_marker(pytest.mark.rtl)
            if missing and "no_simulator" not in item.keywords:
                item.add_marker(
                    pytest.mark.skip(reason=f"{missing[0]} is not installed (apt install iverilog)")
                )


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers of the test's own, the same in every run."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture
def compared(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Count comparisons for the session's summary (../../conftest.py): PE sums x cycles, or operand
    pairs.
    """
    return lambda count, kind="sums": record_property(f"rtl_{kind}", count)


@pytest.fixture
def agree(rng: np.random.Generator, compared: Callable[..., None]) -> Callable[..., None]:
    """Run random operands in RTL and in the simulator, compare everything, and count the
    comparisons.
    """

    def check(
        design: PEDesign, array: ArrayConfig, shape: tuple[int, int, int], signed: bool = False
    ) -> None:
        x, w = operands(rng, shape, signed)
        compared(check_gemm(design, array, x, w).comparisons)

    return check


@pytest.fixture
def sized() -> Callable[..., tuple[int, int, int]]:
    """Return (M, K, N) of a GEMM with a stream of that length and these sizes along rows and
    columns.
    """

    def shape(
        dataflow: str, stream: int, rows: int, cols: int, design: PEDesign
    ) -> tuple[int, int, int]:
        return {
            "os": (rows, stream * design.lanes, cols),
            "ws": (stream, rows * design.lanes, cols),
            "is": (cols, rows * design.lanes, stream),
        }[dataflow]

    return shape


def operands(
    rng: np.random.Generator, shape: tuple[int, int, int], signed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return X (M, K) with four zeros in ten, some values small, and W (K, N)."""
    m, k, n = shape
    x = (
        rng.integers(-128, 128, (m, k)).astype(np.int8)
        if signed
        else rng.integers(0, 256, (m, k)).astype(np.uint8)
    )
    x[rng.random((m, k)) < 0.4] = 0
    x[rng.random((m, k)) < 0.2] &= 15
    return x, rng.integers(-128, 128, (k, n)).astype(np.int8)

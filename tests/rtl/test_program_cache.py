"""Compiled test benches that are kept: a cut one is made again, whatever cut it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sparqsim.base.errors import InputError
from sparqsim.rtl import runner

WHOLE = b'#! /usr/bin/vvp\n:ivl_version "12.0";\n# files\n:file_names 3;\n    "N/A";\n    "<i>";\n    "tb.sv";\n'


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runner, "_cache_folder", lambda: tmp_path)
    return tmp_path


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    program = tmp_path / "p.vvp"
    program.write_bytes(WHOLE)
    assert runner.is_whole(program)
    for size in range(len(WHOLE) - 1):
        program.write_bytes(WHOLE[:size])
        assert not runner.is_whole(program), size
    program.unlink()
    assert not runner.is_whole(program)


def test_a_compiler_that_writes_half_puts_nothing_in_place(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Icarus Verilog ends with exit code 0 on a full disk."""

    def half(command: list[str]) -> str:
        Path(command[command.index("-o") + 1]).write_bytes(WHOLE[:-5])
        return ""

    monkeypatch.setattr(runner, "run_tool", half)
    monkeypatch.setattr(runner, "find_tool", lambda name, package=None: name)
    monkeypatch.setattr(runner, "_tool_and_sources", lambda: "tool")
    with pytest.raises(InputError, match="wrote a part of it only; expected free space"):
        runner.compiled("tb_array", {})
    assert list(cache.iterdir()) == []


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="needs Icarus Verilog")
def test_a_program_that_an_earlier_version_cut_is_made_again(cache: Path) -> None:
    from sparqsim.cli.rtl_work import check_design
    from sparqsim.rtl.accumulator import Accumulator

    assert check_design("mac-8b8b", "2x2", 3, 0, Accumulator())
    programs = list(cache.glob("*.vvp"))
    assert programs
    for program in programs:
        program.write_bytes(program.read_bytes()[: program.stat().st_size // 2])
    assert check_design("mac-8b8b", "2x2", 3, 0, Accumulator())
    assert all(map(runner.is_whole, programs))

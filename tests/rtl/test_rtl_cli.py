"""`sparqsim rtl check|simulate|area`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from sparqsim.cli import main
from sparqsim.rtl import check
from sparqsim.rtl.runner import whole_wave

TRACE = Path(__file__).parents[2] / "workloads" / "digits_resnet.safetensors"


def ended(*arguments: object) -> object:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return stop.value.code


def test_check_tells_what_was_compared(capsys):
    assert ended("rtl", "check", "sparq-exact", "--array", "2x3", "--steps", "9") == 0
    told = capsys.readouterr().out
    assert told.count("sums equal") == 12
    assert "sparq-exact: RTL and simulator agree" in told


def test_check_ends_with_1_at_a_mismatch(capsys, monkeypatch):
    monkeypatch.setattr(check, "simulated_cycles", lambda *_: 7)
    assert ended("rtl", "check", "mac-8b8b", "--array", "2x2", "--steps", "5") == 1
    assert "the simulator says 7" in capsys.readouterr().out


@pytest.mark.parametrize(("dataflow", "coupling"), [("os", "lockstep"), ("ws", "elastic:2")])
@pytest.mark.parametrize("overlap", ["off", "on"])
def test_simulate_writes_a_waveform(dataflow, coupling, overlap, tmp_path, capsys):
    wave = tmp_path / "wave.vcd"
    assert (
        ended(
            "rtl",
            "simulate",
            TRACE,
            "--layer",
            "fc",
            "--pe",
            "sparq-5opt",
            "--array",
            "4x4",
            "--tile",
            1,
            "--dataflow",
            dataflow,
            "--coupling",
            coupling,
            "--overlap",
            overlap,
            "-o",
            wave,
        )
        == 0
    )
    assert "$enddefinitions" in wave.read_text()
    assert "fc, tile 1 of" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--layer", "cf", "--pe", "sparq-5opt"), "has no layer 'cf' (did you mean fc?)"),
        (("--layer", "fc", "--pe", "sparq-5opt", "--tile", "9999"), "--tile 9999: layer 'fc' has"),
        (("--layer", "fc", "--pe", "sparq-5op"), "did you mean sparq-5opt?"),
    ],
)
def test_simulate_refuses(arguments, told, tmp_path, capsys):
    assert ended("rtl", "simulate", TRACE, *arguments, "-o", tmp_path / "wave.vcd") == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "wave.vcd").exists()


@pytest.mark.no_simulator
def test_a_missing_simulator_is_named(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")
    assert ended("rtl", "check", "mac-8b8b") == 2
    told = capsys.readouterr().err
    assert "is not installed; expected it on PATH (Debian: apt install iverilog)" in told


@pytest.mark.no_simulator
def test_area_shows_ranges_and_writes_the_table(tmp_path, capsys):
    assert ended("rtl", "area", "--array", "8x4", "-o", tmp_path / "areas.json") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Not a figure of any paper" in told
    assert "8x4 os, lockstep, overlap off" in told
    assert "Layers kept at 8 bits, mac-4b4b: not in the area, low nibbles of weights" in told
    assert "cannot overflow at K = 4608" in told
    assert json.loads((tmp_path / "areas.json").read_text())["schema"] == "sparqsim.area/2"
    # What was written is read again.
    assert ended("rtl", "area", "--array", "8x4", "--areas", tmp_path / "areas.json") == 0
    assert " ".join(capsys.readouterr().out.split()) == told


@pytest.mark.no_simulator
def test_areas_of_any_array_and_their_accumulators_as_csv(capsys):
    options = ("--dataflow", "ws", "--coupling", "elastic:2", "--overlap", "on", "--format", "csv")
    assert ended("rtl", "area", *options) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    row = next(row for row in rows if row["pe"] == "mac-4b4b")
    assert (row["dataflow"], row["coupling"], row["overlap"]) == ("ws", "elastic:2", "true")
    assert (row["acc_bits"], row["least_acc_bits"]) == ("32", "21")
    assert "a fifth bit" in row["kept_needs"]
    assert ended("rtl", "area", "--acc-bits", "least", "--format", "csv") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    measured = [row for row in rows if not row["left_out"]]
    assert all(row["acc_bits"] == row["least_acc_bits"] for row in measured)


@pytest.mark.no_simulator
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("--coupling", "elastic:7"),
            "no areas of os, elastic:7, overlap off, acc_bits 32 in the table; expected one of",
        ),
        (("--coupling", "elastic:7"), "elastic:2"),
        (("--coupling", "broadcast"), "no RTL of an array that broadcasts"),
        (("--acc-bits", "33"), "acc_bits=33: expected an integer from 8 to 32"),
        (("--acc-bits", "wide"), "acc_bits='wide': expected a number of bits, or 'least'"),
        (("--areas", "nowhere.json"), "nowhere.json"),
    ],
)
def test_area_refuses(arguments, told, capsys):
    assert ended("rtl", "area", *arguments) == 2
    assert told in capsys.readouterr().err


def test_check_takes_narrow_accumulators_and_many_steps(capsys):
    command = ("rtl", "check", "mac-4b4b", "--array", "1x1", "--steps", "1200")
    assert ended(*command, "--acc-bits", "21") == 0
    assert "counted in units of 256 in 21 bits" in capsys.readouterr().out
    assert ended(*command, "--acc-bits", "20") == 2
    assert "can take 21 bits on mac-4b4b" in capsys.readouterr().err
    narrow = ("rtl", "check", "mac-8b8b", "--array", "2x2", "--steps", "9", "--acc-bits", "16")
    assert ended(*narrow, "--overflow", "wrap") == 0


def test_a_waveform_without_its_end_is_refused(tmp_path):
    """As Icarus Verilog leaves it on a full disk, with exit code 0: cut anywhere."""
    whole = b"$date\n\tnow\n$end\n$version\n$end\n$var reg 1 7 whole $end\n#0\n07\n#43\n17\n#44\n"
    file = tmp_path / "wave.vcd"
    file.write_bytes(whole)
    assert whole_wave(file) == whole[whole.index(b"$version") :]
    for end in range(len(whole) - 5):
        file.write_bytes(whole[:end])
        with pytest.raises(OSError, match="a part of it only"):
            whole_wave(file)


def test_equal_runs_give_equal_waveforms(tmp_path):
    """No date, and no name of a file of the run."""
    command = ("rtl", "simulate", TRACE, "--layer", "fc", "--pe", "mac-8b8b", "--array", "2x2")
    waves = [tmp_path / name for name in ("a.vcd", "another.vcd")]
    for wave in waves:
        assert ended(*command, "-o", wave) == 0
    assert waves[0].read_bytes() == waves[1].read_bytes()

"""Activations as the energy model takes PEs to hold them, against the edge units in SystemVerilog."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

import sparqsim
from sparqsim.cost.paths.registry import path_of
from sparqsim.rtl.designs import circuit_of
from sparqsim.rtl.runner import SOURCES

TESTBENCH = """
`include "parameters.svh"
module words #(`PE_PARAMETERS, parameter COUNT = 1);
    reg [XW-1:0] x, every[0:COUNT-1];
    wire [AW-1:0] a;
    edge_unit #(`PE_PASS) unit(x, a);
    integer at;
    initial begin
        $readmemh("operands", every);
        for (at = 0; at < COUNT; at = at + 1) begin
            x = every[at];
            #1 $display("%h", a);
        end
    end
endmodule
"""
MODULES = ("edge_unit.sv", "trim_unit.sv", "trim_value.sv", "exact_unit.sv")


@pytest.mark.parametrize(
    "name",
    [
        "mac-8b8b",
        "mac-2x8b8b",
        "sparq-5opt",
        "sparq-3opt",
        "sparq-2opt",
        "sparq-6opt",
        "sparq-7opt",
        "sparq-5opt:rounding=trim",
        "sparq-5opt:pairing=off",
        "sparq-exact",
    ],
)
def test_words_are_those_of_the_edge_unit(name, rng, tmp_path):
    design = sparqsim.get_pe(name)
    path, circuit = path_of(design), circuit_of(design)
    x = rng.integers(0, 256, (2000, design.lanes)) * (rng.random((2000, design.lanes)) < 0.7)
    x = x.astype(np.uint8)
    raw = [path.raw_word(design, each) for each in x.tolist()]
    (tmp_path / "operands").write_text("".join(f"{word:x}\n" for word in raw))
    (tmp_path / "words.sv").write_text(TESTBENCH)
    parameters = {**circuit.parameters, "COUNT": len(x)}
    subprocess.run(
        [
            "iverilog",
            "-g2012",
            "-I",
            str(SOURCES),
            "-o",
            "program",
            "-s",
            "words",
            *(f"-Pwords.{key}={value}" for key, value in parameters.items()),
            "words.sv",
            *(str(SOURCES / module) for module in MODULES),
        ],
        cwd=tmp_path,
        check=True,
    )
    ran = subprocess.run(
        ["vvp", "program"], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    printed = [int(line, 16) for line in ran.stdout.split()]
    codes = path.codes(design, x)[:, 0]
    assert path.tables(design).word[codes].tolist() == printed

"""`signed` of a whole comparison: what designs of unsigned activations do with int8 layers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from every_design import SPECS

import sparqsim
from sparqsim import ArrayConfig, Assignment, InputError, Layer, Trace
from sparqsim.analysis.bandwidth import bandwidth_curves
from sparqsim.engine.models.registry import resolve
from sparqsim.engine.simulation import DEFAULT_PES
from sparqsim.memory import load_accelerator
from sparqsim.networks.arithmetic import designs_of
from sparqsim.networks.computing import computing
from sparqsim.pe.signs import by_magnitude, is_by_magnitude
from sparqsim.pe.sparq import Sparq5opt
from sparqsim.results.signed import signed_layers, signed_notes
from sparqsim.sweep import Case
from sparqsim.sweep.case import run as run_case

ARRAY = ArrayConfig(3, 2)
NAMES = ("stem", "relu", "gelu", "head")
SIGNED = ("stem", "gelu")
#: Of the default designs, those that take unsigned activations.
SPARQ = [name for name in DEFAULT_PES if name.startswith("sparq")]


def network() -> Trace:
    """Return four products; two of int8 activations, one of which is marked keep_8bit."""
    rng = np.random.default_rng(4)
    drawn = rng.integers(-128, 128, (4, 5, 9)).astype(np.int8)
    layers = []
    for name, values in zip(NAMES, drawn, strict=True):
        x = values if name in SIGNED else values.view(np.uint8)
        w = rng.integers(-128, 128, (9, 4)).astype(np.int8)
        layers.append(Layer.from_gemm(name, x, w, keep_8bit=name == "stem"))
    return Trace(layers)


def run_as(report: sparqsim.Report) -> list[str]:
    return [layer.run_as for layer in report.layers]


def test_the_default_comparison_runs_and_says_what_was_done_layer_by_layer():
    found = sparqsim.compare(network(), array=ARRAY)
    assert found.order == tuple(DEFAULT_PES)
    for name in SPARQ:
        report = found.reports[name]
        assert run_as(report) == [name, name, f"{name}:signed=magnitude", name]
        assert signed_layers(report) == ["gelu"]
    assert not any(signed_layers(found.reports[name]) for name in DEFAULT_PES[:3])
    (note,) = signed_notes(found.reports.values())
    assert "(gelu)" in note
    assert ", ".join(SPARQ) in note
    assert "an extension of ours" in note


@pytest.mark.parametrize("keys", ["", ":rounding=trim", ":pairing=off,stages=2"])
def test_layers_are_those_of_the_design_with_the_key(keys):
    name = f"sparq-5opt{keys}"
    with_key = f"{name}{',' if keys else ':'}signed=magnitude"
    found = sparqsim.simulate(network(), name, ARRAY)
    expected = sparqsim.simulate(network(), with_key, ARRAY, signed="refuse")
    assert found.pe.spec == name
    for layer, other in zip(found.layers, expected.layers, strict=True):
        told = {"run_as": layer.run_as}
        assert layer == other.model_copy(update=told)
    assert run_as(found)[2] == sparqsim.get_pe(with_key).spec


def test_unsigned_traces_do_not_move():
    trace = Trace([layer for layer in network().layers if not layer.signed])
    for engine in ("fast", "event"):
        either = [
            sparqsim.compare(trace, SPARQ, ARRAY, signed=signed, engine=engine).to_json()
            for signed in ("magnitude", "refuse")
        ]
        assert either[0] == either[1]


def test_engines_agree():
    fast = sparqsim.simulate(network(), "sparq-exact", ARRAY)
    event = sparqsim.simulate(network(), "sparq-exact", ARRAY, engine="event")
    assert fast.layers == event.layers


def test_refuse_refuses_and_designs_without_the_key_refuse_either_way():
    with pytest.raises(InputError, match=r"layer 'gelu'.*signed=magnitude"):
        sparqsim.compare(network(), array=ARRAY, signed="refuse")
    with pytest.raises(InputError, match=r"layer 'gelu': sysmt-2t takes unsigned"):
        sparqsim.simulate(network(), "sysmt-2t", ARRAY)
    with pytest.raises(InputError, match=r"signed='both': expected 'magnitude' or 'refuse'"):
        sparqsim.simulate(network(), "sparq-5opt", ARRAY, signed="both")


def test_rules_of_assignments_take_it_too():
    mixed = Assignment("mac-8b8b", [("*elu", "sparq-5opt")], "mixed")
    report = sparqsim.simulate(network(), mixed, ARRAY)
    ran = ["mac-8b8b", "sparq-5opt", "sparq-5opt:signed=magnitude", "mac-8b8b"]
    assert run_as(report) == ran
    assert signed_layers(report) == ["gelu"]
    assert sparqsim.Report.from_json(report.to_json()) == report


def test_reports_that_cannot_be_are_refused_all_the_same():
    document = json.loads(sparqsim.simulate(network(), "sparq-5opt", ARRAY).to_json())
    for wrong in ("sparq-3opt:signed=magnitude", "sparq-5opt:rounding=trim,signed=magnitude"):
        document["layers"][2]["run_as"] = wrong
        with pytest.raises(InputError, match="run_as"):
            sparqsim.Report.from_json(json.dumps(document))


@dataclass(frozen=True)
class Mine(Sparq5opt):
    """A design of the user's, with the key."""

    name = "mine"


@dataclass(frozen=True)
class Otherwise(Sparq5opt):
    """A design whose key of that name is something else."""

    name = "otherwise"
    signed: Literal["no"] = "no"


def test_designs_of_ones_own_are_found_by_what_ran():
    assert resolve("mine:signed=magnitude", known=[Mine()]).pe == Mine(signed="magnitude")
    with pytest.raises(InputError):
        sparqsim.simulate(network(), Otherwise(), ARRAY)


@pytest.mark.parametrize("spec", SPECS)
def test_only_designs_that_refuse_change(spec):
    design = sparqsim.get_pe(spec)
    changed = by_magnitude(design)
    if changed is design:
        assert design.signed_activations or "signed" not in design.__dataclass_fields__
    else:
        assert not design.signed_activations
        assert changed.signed_activations
        assert is_by_magnitude(changed.spec, design.spec)
    assert not is_by_magnitude(design.spec, design.spec)


def test_sweeps_take_it_as_an_axis(tmp_path):
    path = tmp_path / "net.safetensors"
    network().save(path)
    trace = sparqsim.load_trace(path)
    report = run_case(trace, Case(trace=str(path), array="3x2"))
    assert signed_layers(report) == ["gelu"]
    with pytest.raises(InputError, match="signed=magnitude"):
        run_case(trace, Case(trace=str(path), array="3x2", signed="refuse"))


def test_networks_compute_with_the_key_where_activations_are_int8():
    class Site:
        keep_8bit = False

        def __init__(self, name, signed):
            self.name = name
            self.activation = type("Codes", (), {"stored_signed": signed})

    sites = [Site("relu", False), Site("gelu", True)]
    designs = designs_of(sites, computing("sparq-5opt", "magnitude"))
    assert [design.spec for design in designs.values()] == [
        "sparq-5opt",
        "sparq-5opt:signed=magnitude",
    ]
    assert computing("mac-8b8b", "magnitude") == sparqsim.get_pe("mac-8b8b")
    with pytest.raises(InputError, match="gelu"):
        designs_of(sites, computing("sparq-5opt"))


def test_bandwidth_and_prediction_take_it():
    memory = load_accelerator("edge").memory
    how = {"baseline": "sparq-5opt", "kept": "honest", "bandwidths": [8.0]}
    assert bandwidth_curves(network(), ["sparq-5opt"], ARRAY, memory, **how).cycles
    predicted = sparqsim.predict(network(), ["sparq-5opt"], ARRAY).designs["sparq-5opt"]
    assert predicted.layers[2].run_as == "sparq-5opt:signed=magnitude"
    with pytest.raises(InputError, match="signed=magnitude"):
        bandwidth_curves(network(), ["sparq-5opt"], ARRAY, memory, signed="refuse", **how)
    with pytest.raises(InputError, match="signed=magnitude"):
        sparqsim.predict(network(), ["sparq-5opt"], ARRAY, signed="refuse")


def test_the_command_line_says_it(run, tmp_path):
    path = tmp_path / "net.safetensors"
    network().save(path)
    done = run("compare", path, "--array", "3x2", "--format", "json")
    assert json.loads(done.out)["order"] == list(DEFAULT_PES)
    shown = " ".join(run("compare", path, "--array", "3x2").out.split())
    assert "Layers of int8 activations (gelu) ran under sparq-5opt, sparq-3opt" in shown
    assert "(--signed refuse: refused)" in shown
    assert "sparq-5opt:signed" not in shown

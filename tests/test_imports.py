"""What importing costs: each in a process of its own, for what it has imported cannot be taken
back.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "numpy",
    "numba",
    "simpy",
    "matplotlib",
    "pydantic",
    "safetensors",
    "rich",
    "typer",
    "torch",
)
SLOW = ("numpy", "numba", "llvmlite", "simpy", "matplotlib", "safetensors", "torch")
LEAVE = (
    "try:\n    main({arguments!r})\nexcept SystemExit as end:\n    assert not end.code, end.code"
)


def loaded(source, root):
    """All modules present after running `source`."""
    shown = f"{source}\nimport sys\nprint('MODULES', *sorted(sys.modules))"
    ended = subprocess.run(
        [sys.executable, "-c", shown], capture_output=True, text=True, check=True, cwd=root
    )
    return set(ended.stdout.rsplit("MODULES", 1)[1].split())


def imported(source, root):
    """Top-level modules present after running `source`."""
    return {name.partition(".")[0] for name in loaded(source, root)}


def test_importing_the_package_costs_next_to_nothing(root):
    assert not imported("import sparqsim; sparqsim.__version__; dir(sparqsim)", root) & set(HEAVY)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["compare", "--help"],
        ["simulate", "--help"],
        ["plot", "--help"],
        ["trace", "check", "--help"],
        ["pe", "show", "-h"],
    ],
)
def test_help_is_fast_because_it_imports_little(arguments, root):
    source = f"from sparqsim.cli import main\n{LEAVE.format(arguments=arguments)}"
    assert not imported(source, root) & set(SLOW)


def test_a_comparison_draws_nothing_and_models_no_events(root, digits_path):
    """The fast form needs neither matplotlib nor simpy, nor, of a small network, numba."""
    arguments = ["compare", str(digits_path)]
    found = loaded(f"from sparqsim.cli import main\n{LEAVE.format(arguments=arguments)}", root)
    assert {"numpy", "pydantic"} <= found
    assert not found & {"matplotlib", "simpy", "torch", "numba", "llvmlite", "scipy"}
    for_others = {"engine.together", "trace.drawn", "trace.synthetic", "trace.transforms"}
    assert not found & {f"sparqsim.{name}" for name in for_others}


def test_every_public_name_is_there():
    import sparqsim

    assert all(getattr(sparqsim, name) is not None for name in sparqsim.__all__)
    with pytest.raises(AttributeError, match="no attribute 'simulat'"):
        sparqsim.simulat  # noqa: B018

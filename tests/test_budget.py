"""Equal budgets: every figure counted in plain Python, and both conversions undone again."""

import json
import re
from fractions import Fraction

import card_traces
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sparqsim
from sparqsim.cli import main
from sparqsim.trace.budget import OperandBudget, equal_budget


def sizes(trace, operand):
    """Elements of every layer's tensor, counted one by one."""
    return {
        layer.name: sum(1 for _ in getattr(layer, operand).reshape(-1)) for layer in trace.layers
    }


def counted(trace, operand, bits, kept, inputs):
    """Total bits of both schemes, per input of the network, layer by layer."""
    everywhere = with_kept = Fraction(0)
    for name, elements in sizes(trace, operand).items():
        for _ in range(elements):
            everywhere += bits
            with_kept += 8 if name in kept else bits
    return everywhere / inputs, with_kept / inputs


@pytest.mark.parametrize("bits", [1, 2, 4, 6, 8])
@pytest.mark.parametrize("kept", [None, ("mid",), ("in", "mid", "out"), ()])
def test_totals_are_those_counted_code_by_code(bits, kept):
    trace = card_traces.trace()
    budget = equal_budget(trace, bits, kept)
    of_kept = ("in", "out") if kept is None else kept
    assert budget.kept == of_kept
    for operand, inputs in (("weights", 1), ("activations", 2)):
        found, expected = getattr(budget, operand), counted(trace, operand, bits, of_kept, inputs)
        assert (found.total_bits, found.total_bits_kept) == expected
        assert found.average_bits_kept * sum(sizes(trace, operand).values()) / inputs == (
            pytest.approx(found.total_bits_kept)
        )


@given(kept=st.integers(1, 10**6), inner=st.integers(1, 10**9), bits=st.integers(1, 8))
def test_both_conversions_give_the_same_total(kept, inner, bits):
    budget = OperandBudget(
        operand="weights", kept_elements=kept, inner_elements=inner, bits=float(bits)
    )
    # The average of the second scheme, everywhere, takes what the second scheme takes.
    everywhere = sum([budget.average_bits_kept * kept, budget.average_bits_kept * inner])
    assert everywhere == pytest.approx(8 * kept + bits * inner)
    # The others at their equal bits, the ends at 8, take what `bits` everywhere takes.
    if budget.equal_inner_bits is None:
        assert 8 * kept >= bits * (kept + inner)
    else:
        assert 8 * kept + budget.equal_inner_bits * inner == pytest.approx(bits * (kept + inner))


def test_four_bits_everywhere_are_4_32_between_ends_of_8():
    """The published pair of figures, on ends that take 8 % of the elements."""
    budget = OperandBudget(operand="weights", kept_elements=8, inner_elements=92, bits=4)
    assert budget.average_bits_kept == pytest.approx(4.32)
    assert budget.equal_inner_bits == pytest.approx((400 - 64) / 92)


def test_ends_that_take_it_all_have_no_equal():
    assert (
        OperandBudget(
            operand="weights", kept_elements=50, inner_elements=50, bits=4
        ).equal_inner_bits
        is None
    )
    assert (
        OperandBudget(operand="weights", kept_elements=5, inner_elements=0, bits=8).equal_inner_bits
        is None
    )


def test_bits_everywhere_at_8_are_both_schemes():
    budget = equal_budget(card_traces.trace(), 8).weights
    assert budget.total_bits == budget.total_bits_kept
    assert budget.average_bits_kept == budget.equal_inner_bits == 8


def test_a_network_of_one_layer_is_its_own_ends():
    x, w = card_traces.layer("in").activations[0], card_traces.layer("in").weights[:, 0].T
    one = sparqsim.Trace([sparqsim.Layer.from_gemm("one", x, w)])
    budget = equal_budget(one, 4)
    assert budget.kept == ("one",)
    assert budget.weights.inner_elements == 0


@pytest.mark.parametrize("bits", [0, -1, 8.1, float("nan"), float("inf")])
def test_bits_out_of_range_are_refused(bits):
    with pytest.raises(sparqsim.InputError, match="bits="):
        equal_budget(card_traces.trace(), bits)


def test_the_command_says_the_same(tmp_path, capsys):
    path = tmp_path / "t.safetensors"
    card_traces.trace().save(path)
    with pytest.raises(SystemExit) as ended:
        main(["card", "budget", str(path), "--bits", "4.5", "--format", "json"])
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert found == json.loads(equal_budget(card_traces.trace(), 4.5).to_json())
    names = ",".join(layer.name for layer in card_traces.trace().layers)
    with pytest.raises(SystemExit) as ended:
        main(["card", "budget", str(path), "--bits", "4", "--keep-8bit", names])
    assert ended.value.code == 0
    # No bits of the others give that total, so none is told.
    (line, _) = re.findall(r"ends at 8, total of the first.*", capsys.readouterr().out)
    assert line.split()[7:] == ["8", "-", "-", "-"]
    with pytest.raises(SystemExit) as ended:
        main(["card", "budget", str(path), "--bits", "4", "--keep-8bit", "mdi"])
    assert ended.value.code == 2
    assert "did you mean mid?" in capsys.readouterr().err

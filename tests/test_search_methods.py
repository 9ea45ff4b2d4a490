"""Every way to search keeps its promises on problems whose every point is known."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparqsim import InputError
from sparqsim.search.log import Trial
from sparqsim.search.problem import Problem
from sparqsim.search.space import Edge, Point, Space
from sparqsim.search.strategies import Strategy, get_strategy, shipped_strategies

#: Small runs of those that draw.
FEW = {"tpe": "tpe:trials=12,together=3", "nsga2": "nsga2:trials=12,population=4"}


def method(name: str) -> Strategy:
    if name in FEW:
        pytest.importorskip("optuna", reason="extra 'search' is not installed")
    return get_strategy(FEW.get(name, name))


@dataclass
class Known:
    """A space of which all is known, and which points were asked for."""

    space: Space
    agree: dict[Point, int]
    weights: tuple[int, ...]
    budget: float | None

    def __post_init__(self) -> None:
        self.asked: list[Point] = []

    def cost(self, point: Point) -> int:
        return 1 + sum(w * bits for w, bits in zip(self.weights, point, strict=True))

    def measure(self, points: Sequence[Point]) -> list[Trial]:
        self.asked += points
        return [Trial(point, self.agree[point], None, self.cost(point)) for point in points]

    @property
    def problem(self) -> Problem:
        return Problem(
            self.space, self.measure, lambda trial: trial.agree, self.cost, budget=self.budget
        )

    def keeps(self, point: Point) -> bool:
        return self.budget is None or self.cost(point) <= self.budget


@st.composite
def known_problems(draw: st.DrawFn, budget: bool) -> Known:
    choices = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    edges = [
        Edge("weights", (f"l{at}",), tuple(range(8, 7 - count, -1)))
        for at, count in enumerate([2, *choices])
    ]
    space = Space(tuple(edges))
    points = list(itertools.product(*(edge.choices for edge in edges)))
    answers = draw(st.lists(st.integers(0, 20), min_size=len(points), max_size=len(points)))
    weights = tuple(draw(st.lists(st.integers(0, 3), min_size=len(edges), max_size=len(edges))))
    known = Known(space, dict(zip(points, answers, strict=True)), weights, None)
    costs = sorted(map(known.cost, points))
    known.budget = draw(st.integers(costs[0], costs[-1])) if budget else None
    return known


@pytest.mark.parametrize("name", shipped_strategies())
@settings(max_examples=5)
@given(data=st.data())
def test_the_chosen_point_was_measured_keeps_the_budget_and_beats_uniform_bits(
    name: str, data: st.DataObject
) -> None:
    strategy = method(name)
    budget = strategy.budget == "needed" or (
        strategy.budget == "taken" and data.draw(st.booleans())
    )
    known = data.draw(known_problems(budget))
    problem = known.problem
    problem.measure(known.space.uniform())
    chosen = strategy.search(problem)
    assert chosen.point in known.asked
    assert known.keeps(chosen.point)
    if strategy.budget != "refused":
        uniform = [point for point in known.space.uniform() if known.keeps(point)]
        assert all(known.agree[chosen.point] >= known.agree[point] for point in uniform)
    again = Known(known.space, known.agree, known.weights, known.budget)
    again.measure(known.space.uniform())
    assert strategy.search(again.problem) == chosen
    assert again.asked == known.asked, "a second search asks for other points"


@given(known_problems(budget=True))
def test_exact_finds_the_best_there_is(known: Known) -> None:
    chosen = get_strategy("exact").search(known.problem)
    kept = [point for point in known.agree if known.keeps(point)]
    best = max(known.agree[point] for point in kept)
    assert chosen.agree == best
    assert known.cost(chosen.point) == min(
        known.cost(point) for point in kept if known.agree[point] == best
    )
    assert set(known.asked) == set(kept), "points beyond the budget were measured"


@given(known_problems(budget=False))
def test_hagos_greedy_is_the_walk_told_in_plain_words(known: Known) -> None:
    """An independent model: in each place in turn, one bit less while no answer is lost."""
    chosen = get_strategy("hago-greedy").search(known.problem)
    assert chosen.point == stepped_down(known.agree)


def stepped_down(agree: dict[Point, int]) -> Point:
    point = max(agree)
    for place in range(len(point)):
        while True:
            lower = tuple(bits - (at == place) for at, bits in enumerate(point))
            if agree.get(lower, -1) < agree[point]:
                break
            point = lower
    return point


def test_a_method_is_found_by_its_file_and_unknown_ones_are_told(tmp_path: Any) -> None:
    own = tmp_path / "own.py"
    own.write_text(
        "from dataclasses import dataclass\n"
        "from sparqsim.search.strategies import Strategy\n"
        "@dataclass(frozen=True)\n"
        "class Least(Strategy):\n"
        "    name = 'least'\n"
        "    words = 'mine: fewest bits'\n"
        "    def search(self, problem):\n"
        "        return problem.measured(problem.space.least)\n"
    )
    known = Known(Space((Edge("weights", ("l",), (8, 7)),)), {(8,): 3, (7,): 1}, (1,), None)
    assert get_strategy(f"{own}:Least").search(known.problem).point == (7,)
    with pytest.raises(InputError, match=r"'exat' is not known \(did you mean exact\?\)"):
        get_strategy("exat")
    with pytest.raises(InputError, match="key 'seed=3' is not known; exact accepts no keys"):
        get_strategy("exact:seed=3")


def test_exact_refuses_what_nobody_waits_for() -> None:
    edges = tuple(Edge("weights", (f"l{at}",), (8, 7, 6, 5, 4)) for at in range(9))
    problem = Known(Space(edges), {}, (1,) * 9, 100).problem
    with pytest.raises(InputError, match=r"--method exact: 1.95e\+06 points, expected at most"):
        get_strategy("exact").search(problem)


def test_a_budget_is_refused_or_asked_for_by_name() -> None:
    with pytest.raises(InputError, match="--method hago-greedy: takes no budget"):
        get_strategy("hago-greedy").check_budget("50%")
    with pytest.raises(InputError, match="--method by-sensitivity: searches within a budget"):
        get_strategy("by-sensitivity").check_budget("")


class Unfinished(Strategy):
    name: ClassVar[str] = "unfinished"


@st.composite
def problems_whose_losses_add_up(draw: st.DrawFn) -> Known:
    """Edges of up to two layers; quality falls by a sum over edges, cost is a sum over layers."""
    layers = [("a",), ("a",), ("a", "b"), ("b",), ("c",)]
    kinds = ["activations", "weights", "activations", "weights", "weights"]
    chosen = draw(st.lists(st.sampled_from(range(5)), min_size=1, max_size=4, unique=True))
    edges = tuple(Edge(kinds[at], layers[at], (8, 7, 6)) for at in chosen)  # type: ignore[arg-type]
    losses = [{8: 0, 7: draw(st.integers(-2, 6)), 6: draw(st.integers(-2, 9))} for _ in edges]
    space = Space(edges)
    agree = {
        point: 100 - sum(own[bits] for own, bits in zip(losses, point, strict=True))
        for point in space.points()
    }
    weights = tuple(draw(st.integers(0, 3)) for _ in edges)
    known = Known(space, agree, weights, None)
    costs = sorted(map(known.cost, agree))
    known.budget = draw(st.integers(costs[0], costs[-1]))
    return known


@given(problems_whose_losses_add_up(), st.randoms())
def test_the_least_cost_is_that_of_the_cheapest_point(known: Known, random: Any) -> None:
    """Also where fewer bits take more, and layers take what two of their edges decide."""
    layers = {name for edge in known.space.edges for name in edge.layers}
    drawn = {
        (name, bits): random.randint(1, 10**6)
        for name in layers
        for bits in itertools.product((6, 7, 8), repeat=2)
    }

    def cost(point: Point) -> float:
        bits = known.space.layer_bits(point)
        return sum(drawn[name, tuple(own)] for name, own in bits.items())

    cheapest = min(map(cost, known.agree))
    least = known.space.least_cost(cost)
    assert least <= cheapest
    assert least == pytest.approx(cheapest, rel=1e-9)


@given(problems_whose_losses_add_up())
def test_separable_is_exact_where_losses_add_up(known: Known) -> None:
    chosen = get_strategy("separable").search(known.problem)
    best = max(known.agree[point] for point in known.agree if known.keeps(point))
    assert chosen.agree == best
    assert known.keeps(chosen.point)


@pytest.mark.parametrize("name", FEW)
def test_samplers_have_no_point_beyond_the_budget_answered(name: str) -> None:
    space = Space(tuple(Edge("weights", (f"l{at}",), (8, 7, 6, 5)) for at in range(4)))
    known = Known(space, {point: sum(point) for point in space.points()}, (1, 2, 3, 4), None)
    known.budget = (known.cost(space.default) + known.cost(space.least)) / 2
    uniform = set(space.uniform())
    known.measure(list(uniform))
    chosen = method(name).search(known.problem)
    others = set(known.asked) - uniform
    assert others
    assert all(known.keeps(point) for point in others)
    assert chosen.agree == max(known.agree[p] for p in known.asked if known.keeps(p))

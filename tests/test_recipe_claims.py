"""What pages of docs/recipes say of what was expected: the figures, and whether it holds."""

from __future__ import annotations

import copy

import numpy as np
import pytest

LOSSES = {"losses": [0.3, 0.2, 0.4], "power": 2.4, "start_loss": 0.2, "final_loss": 0.1}
RECORD = {
    "recipes": {"a4w4": {}, "lapq": {"losses": LOSSES | {"evaluations": 9}}},
    "rows": [
        {"recipe": "a4w4", "pe": "mac-4b4b", "top1": 5, "cycles": 70},
        {"recipe": "a4w4", "pe": "mac-4b8b", "top1": 6, "cycles": 90},
        {"recipe": "lapq", "pe": "mac-4b4b", "top1": 5, "cycles": 70},
        {"recipe": "lapq", "pe": "mac-4b8b", "top1": 7, "cycles": 90},
    ],
    "claims": {
        "adaround": {"layers": {"a": {"learned": 1.0, "nearest_same_scales": 2.0, "nearest": 4.0}}},
        "multipoint": {
            "layers": {"a": {"adaptive": 1.0, "random": [0.5, 2.0]}},
            "weights_sqnr_db": [10.0, 13.0, 16.5],
            "one_point_cycles": 70,
        },
    },
}


@pytest.fixture(scope="module")
def tables():
    import recipe_claim_tables

    return recipe_claim_tables


def test_claims_that_hold(tables):
    claims = tables.claims_of(RECORD)
    assert [each.recipe for each in claims] == ["adaround"] * 2 + ["lapq"] * 4 + ["multipoint"] * 3
    assert all(each.holds for each in claims)
    assert not any("**no**" in line for line in tables.claims_table(RECORD))


@pytest.mark.parametrize(
    ("where", "value", "failing"),
    [
        (("claims", "adaround", "layers", "a", "learned"), 2.5, [0]),
        (("claims", "adaround", "layers", "a", "learned"), 4.5, [0, 1]),
        (("recipes", "lapq", "losses", "start_loss"), 0.203, [2]),
        (("recipes", "lapq", "losses", "final_loss"), 0.21, [3]),
        (("rows", 3, "top1"), 5, [4]),
        (("rows", 2, "top1"), 4, [5]),
        (("claims", "multipoint", "one_point_cycles"), 71, [6]),
        (("claims", "multipoint", "weights_sqnr_db"), [10.0, 13.0, 15.9], [7]),
        (("claims", "multipoint", "layers", "a", "adaptive"), 1.3, [8]),
    ],
)
def test_claims_that_fail_are_said_to(tables, where, value, failing):
    record = copy.deepcopy(RECORD)
    part = record
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    claims = tables.claims_of(record)
    assert [number for number, each in enumerate(claims) if not each.holds] == failing
    assert sum("**no**" in line for line in tables.claims_table(record)) == len(failing)


def test_a_record_without_figures_says_so(tables):
    assert tables.claims_table({"recipes": {}, "rows": []}) == [
        "Nothing was measured of what was expected of the recipes."
    ]


@pytest.fixture(scope="module")
def held_out():
    pytest.importorskip("torch", reason="extra 'torch' is not installed")
    import held_out

    return held_out


def network_of(weights):
    """A linear layer under a recipe, and pictures that it did not calibrate on."""
    import torch

    from sparqsim.networks.torch import QuantisedNetwork
    from sparqsim.quantise.recipe import Recipe

    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8)).eval()
    seen, unseen = ([(torch.rand(16, 6), torch.zeros(16).long())] for _ in range(2))
    recipe = Recipe(weights=weights, keep_8bit="none")
    return QuantisedNetwork(model, seen, recipe=recipe), model[0].weight.detach(), unseen


def plain_error(network, real, unseen, codes, scales):
    """The mean over rows of the squared differences of all outputs, by the definition of codes."""
    (site,) = network.layers.values()
    inputs = np.concatenate([each.numpy() for each, _ in unseen]).astype(np.float64)
    step = np.float64(site.activation.scale)
    held = np.clip(np.rint(inputs / step), 0, 255) * step
    weights = (codes.reshape(len(scales), -1) * scales[:, None]).astype(np.float64)
    off = inputs @ real.numpy().astype(np.float64).T - held @ weights.T
    return (off**2).sum() / len(inputs)


def test_errors_of_rounding_are_those_of_outputs(held_out):
    network, real, unseen = network_of("adaround:4:steps=400")
    chosen = held_out.chosen_by(network)
    (errors,) = held_out.rounding_errors(held_out.facts_of(network, unseen), chosen, 4).values()
    (found,) = chosen.values()
    nearest = np.clip(np.rint(real.numpy() / found.scales[:, None]), -7, 7)
    for key, codes in (("learned", found.codes), ("nearest_same_scales", nearest)):
        expected = plain_error(network, real, unseen, codes, found.scales)
        assert errors[key] == pytest.approx(expected, rel=1e-4)
    assert errors["learned"] != errors["nearest_same_scales"]
    assert held_out.rounding_errors(held_out.facts_of(network, unseen), chosen, 3) == {}


def test_errors_of_points_are_those_of_outputs(held_out):
    network, real, unseen = network_of("multipoint:4:extra=0.25")
    (errors,) = held_out.points_errors(
        held_out.facts_of(network, unseen), held_out.chosen_by(network), 4
    ).values()
    (found,) = held_out.chosen_by(network).values()
    assert len(found.codes) == 10
    codes, scales = found.real.reshape(8, -1), np.ones(8)
    assert errors["adaptive"] == pytest.approx(
        plain_error(network, real, unseen, codes, scales), rel=1e-4
    )
    assert len(set(errors["random"])) > 1


def test_without_extra_points_there_is_nothing_to_draw(held_out):
    network, _, unseen = network_of("multipoint:4:extra=0")
    (errors,) = held_out.points_errors(
        held_out.facts_of(network, unseen), held_out.chosen_by(network), 4
    ).values()
    assert set(errors["random"]) == {errors["adaptive"]}

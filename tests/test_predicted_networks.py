"""What docs/rivals/hcm.md says of real networks: asserted of its records, and the records of the
networks.
"""

from __future__ import annotations

import pytest

from sparqsim.engine.prediction import predict
from sparqsim.memory import load_accelerator

NETWORKS = ("resnet20", "resnet18")


@pytest.fixture(scope="module")
def tables():
    import prediction_tables

    return prediction_tables


@pytest.fixture(params=NETWORKS)
def network(request):
    return request.param


@pytest.fixture(params=[None, "edge"])
def record(request, network, tables):
    return tables.loaded(network, request.param)


def test_predictions_are_lower_bounds_on_every_layer(record, tables):
    for name in tables.DESIGNS:
        for layer in record.design(name).layers:
            assert layer.roofline_cycles <= layer.predicted_cycles <= layer.simulated_cycles


def test_designs_stand_in_the_simulations_order(record, tables):
    for cycles in (tables.PREDICTED, tables.ROOFLINE):
        agrees = record.order_agrees(tables.MACS, cycles)
        assert sum(agrees) >= 0.9 * len(agrees)


def test_layers_with_long_streams_are_predicted_within_a_fifth(record, tables):
    assert record.median_ratio(list(tables.MACS)) >= 0.8


def test_the_roofline_reaches_that_on_resnet18_and_not_on_resnet20(tables):
    """Of the three designs together, without memory: the page says so."""
    middle = {
        name: tables.loaded(name, None).median_ratio(tables.MACS, tables.ROOFLINE)
        for name in NETWORKS
    }
    assert middle["resnet20"] < 0.8 <= middle["resnet18"]


def test_without_memory_only_values_leave_an_error(network, tables):
    record = tables.loaded(network, None)
    for name in tables.DESIGNS:
        fixed = not record.design(name).pe.cycles_depend_on_values
        assert (record.design(name).totals.error_percent == 0) == fixed


def test_areas_are_those_of_the_table_that_ships(record, tables, digits):
    """Of designs and array alone: any trace will do."""
    found = predict(digits, tables.DESIGNS)
    for name in tables.DESIGNS:
        assert record.design(name).area == found.design(name).area


def test_records_are_of_the_networks(tables, shared):
    """ResNet-20's cycles of the three arrays follow from its shapes alone, calibrated or not."""
    torch = pytest.importorskip("torch", reason="needs the extra torch")
    from networks import convolutional
    from networks.shared import cifar10

    from sparqsim.networks.torch import QuantisedNetwork
    from sparqsim.networks.torch.dump import trace_of

    images, labels = cifar10()
    batches = [(images[:2], labels[:2])]
    with torch.no_grad():
        network = QuantisedNetwork(convolutional.resnet20(), batches)
        trace = trace_of(network, batches, images=1)
    memory = load_accelerator("edge").memory
    found, stored = predict(trace, tables.MACS, memory=memory), tables.loaded("resnet20", "edge")
    for name in tables.MACS:
        ours, theirs = found.design(name), stored.design(name)
        assert (ours.layers, ours.totals) == (theirs.layers, theirs.totals)

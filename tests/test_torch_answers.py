"""Answers of PyTorch networks: scales of tensors, tokens, cross-entropy."""
# ruff: noqa: E402 - what needs PyTorch is imported after the line that skips without it

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="extra 'torch' is not installed")

from torch import nn

from sparqsim import get_pe, load_trace
from sparqsim.networks.torch import QuantisedNetwork, dump, evaluate
from sparqsim.pe.arithmetic import layer_sums


class Wide(nn.Module):
    """A layer whose outputs are the answers: nothing else computes."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.fc = nn.Linear(12, 7, bias=False)

    def forward(self, x):
        return self.fc(x)


def test_a_scale_of_a_tensor_is_that_of_the_calibration_inputs(tmp_path):
    """What `olive-4b` makes of a trace of all inputs, whatever the batches that are answered."""
    x = torch.randn(24, 12, generator=torch.Generator().manual_seed(6)) ** 3
    path = tmp_path / "net.safetensors"
    quantised = QuantisedNetwork(Wide(), [x], keep_8bit="none")
    dump(quantised, [x], path)
    layer = load_trace(path).layers[0]
    expected = layer_sums(layer, get_pe("olive-4b")) * quantised.layers["fc"].unit

    def logits(loader):
        found = evaluate(quantised, loader, "olive-4b", calibration_loader=[x[:16], x[16:]])
        assert found.layers[0].pe == "olive-4b"
        return found.logits.numpy()

    whole, pieces = logits([x]), logits([x[:5], x[5:6], x[6:]])
    assert np.array_equal(whole, expected.astype(np.float32))
    assert np.array_equal(pieces, whole)
    # Found on other inputs it is another one.
    other = evaluate(quantised, [x], "olive-4b", calibration_loader=[x[:2]]).logits.numpy()
    assert not np.array_equal(other, whole)


def test_values_below_0_where_calibration_had_none_become_0_under_unsigned_codes():
    x = torch.rand(8, 12, generator=torch.Generator().manual_seed(7))
    quantised = QuantisedNetwork(Wide(), [-x[:1], x], keep_8bit="none")
    assert quantised.layers["fc"].activation.stored_signed
    found = evaluate(quantised, [-x], "olive-4b", calibration_loader=[x])
    assert not found.logits.any()


def test_cross_entropy_is_of_labels_and_perplexity_its_exponential():
    x = torch.randn(6, 12, generator=torch.Generator().manual_seed(8))
    labels = torch.tensor([0, 3, 6, 1, 1, 2])
    found = evaluate(Wide(), [(x[:4], labels[:4]), (x[4:], labels[4:])], None)
    rows = found.logits.double().numpy()
    probability = [
        np.exp(row[label]) / np.exp(row).sum() for row, label in zip(rows, labels, strict=True)
    ]
    mean = -sum(map(np.log, probability)) / 6
    assert found.cross_entropy == pytest.approx(mean, rel=1e-12)
    assert found.perplexity == pytest.approx(np.exp(mean), rel=1e-12)
    assert evaluate(Wide(), [x], None).perplexity is None
    huge = replace(found, cross_entropy=1e4)
    assert huge.perplexity == float("inf")


def test_sequences_count_by_token():
    """Rows are tokens, labels the next ones."""

    class Next(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(5, 5, bias=False)
            self.fc.weight = nn.Parameter(10 * torch.eye(5))

        def forward(self, tokens):
            return self.fc(nn.functional.one_hot(tokens, 5).float())

    tokens, labels = torch.tensor([[0, 1, 2], [3, 4, 0]]), torch.tensor([[0, 1, 0], [3, 4, 0]])
    found = evaluate(Next(), [(tokens, labels)], "mac-8b8b", keep_8bit="none")
    assert (found.rows, found.top1, found.agreement) == (6, 5, 6)

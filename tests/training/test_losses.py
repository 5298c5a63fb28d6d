"""Losses on signals whose answer is known."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from hsm.training.losses import FLOOR, LABEL_SMOOTHING, compressed_l1, contrastive, error_db, global_loss


def test_the_waveform_error_is_in_db_of_the_reference_with_a_floor() -> None:
    reference = torch.randn(3, 1_000)
    assert torch.allclose(error_db(torch.zeros(3, 1_000), reference), torch.full((3,), -20.0))
    assert torch.allclose(error_db(reference, reference), 10 * torch.log10(torch.tensor(1 + FLOOR)).expand(3))
    assert torch.allclose(error_db(0.1 * reference, reference), 10 * torch.log10(torch.tensor(0.02)).expand(3))


def test_a_silent_reference_gives_a_finite_error_and_gradient() -> None:
    error = torch.zeros(1, 10, requires_grad=True)
    value = error_db(error, torch.zeros(1, 10)).sum()
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(error.grad).all()  # type: ignore[arg-type]


def test_the_magnitude_loss_is_zero_for_the_truth_and_one_for_silence() -> None:
    truth = torch.rand(2, 4, 5) + 0.5
    assert torch.equal(compressed_l1(truth, truth, truth), torch.zeros(2))
    assert torch.allclose(compressed_l1(torch.zeros_like(truth), truth, truth), torch.ones(2), atol=2e-3)
    assert torch.allclose(compressed_l1(4 * truth, truth, truth), torch.ones(2), atol=2e-3), "square roots"


def test_the_contrastive_loss_is_smoothed_cross_entropy_where_every_row_has_one_partner() -> None:
    scores = torch.randn(5, 5)
    wanted = [F.cross_entropy(s, torch.arange(5), label_smoothing=LABEL_SMOOTHING) for s in (scores, scores.t())]
    assert torch.allclose(contrastive(scores, torch.eye(5, dtype=torch.bool)), sum(wanted) / 2)


def test_the_contrastive_loss_does_not_push_partners_of_one_class_apart() -> None:
    positives = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    alike = contrastive(10.0 * positives.float(), positives)
    apart = contrastive(10.0 * torch.eye(3), positives)
    assert alike < apart


def test_the_global_loss_is_one_minus_cosine_plus_l1() -> None:
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    loss, cosine = global_loss(a, b)
    assert float(loss) == pytest.approx(1 + 1.5)
    assert float(cosine) == pytest.approx(0)
    assert float(global_loss(b, b)[0]) == pytest.approx(0, abs=1e-6)

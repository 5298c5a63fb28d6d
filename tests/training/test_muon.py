"""Muon: what it does to matrices, and that it is torch's own where both can be compared."""

from __future__ import annotations

import pytest
import torch

from hsm.training.muon import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(3, 40, 90), (2, 90, 40), (1, 30, 30)])
def test_all_singular_values_come_near_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
    assert values.median() == pytest.approx(1, abs=0.3)
    assert values.max() < 1.3


def test_matrices_of_a_shape_do_not_influence_each_other() -> None:
    torch.manual_seed(0)
    matrices = torch.randn(4, 20, 30)
    alone = torch.cat([orthogonalise(m[None]) for m in matrices])
    torch.testing.assert_close(orthogonalise(matrices), alone, rtol=1e-2, atol=1e-2)


def test_a_step_is_that_of_torch() -> None:
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(shape)) for shape in ((40, 20), (20, 40), (40, 20))]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    mine = Muon(ours, lr=0.05, weight_decay=0.1)
    reference = torch.optim.Muon(theirs, lr=0.05, weight_decay=0.1, ns_steps=4)
    for _ in range(5):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        mine.step()
        reference.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=0.03, atol=0.01)  # theirs computes in bfloat16


def test_a_matrix_without_gradient_stays() -> None:
    still, moved = torch.nn.Parameter(torch.ones(3, 3)), torch.nn.Parameter(torch.eye(3))
    moved.grad = torch.randn(3, 3)
    Muon([still, moved], lr=0.1).step()
    assert torch.equal(still, torch.ones(3, 3))
    assert not torch.equal(moved, torch.eye(3))

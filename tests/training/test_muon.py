"""Muon beside torch's."""

from __future__ import annotations

import pytest
import torch

from hsm.training.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(8, 32), (32, 8), (16, 16)])
def test_steps_are_those_of_torchs_but_for_its_bfloat16(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    ours, theirs = (torch.nn.Parameter(torch.ones(shape)) for _ in range(2))
    optimisers = Muon([ours], 0.02, 0.1), torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, ns_steps=4)
    for _ in range(5):
        gradient = torch.randn(shape, generator=generator)
        for p, optimiser in zip((ours, theirs), optimisers, strict=True):
            p.grad = gradient.clone()
            optimiser.step()
    assert torch.allclose(ours, theirs, atol=3e-3)
    assert not torch.allclose(ours, torch.ones(shape), atol=3e-3)


def test_singular_values_come_near_one() -> None:
    matrix = torch.randn(24, 40, generator=torch.Generator().manual_seed(0)) * 1e-3
    values = torch.linalg.svdvals(orthogonalised(matrix, 5))
    assert values.min() > 0.5
    assert values.max() < 1.3

"""Muon: momentum whose matrices are made orthogonal before each step.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). torch.optim.Muon takes one
matrix after another and always in bfloat16, which a CPU without instructions for it computes at a quarter of
float32's speed; this one takes all matrices of a shape at once, in the precision that is fast there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from hsm.precision import has_bfloat16

QUINTIC = (3.4445, -4.7750, 2.0315)  # of the Newton-Schulz iteration, steep at zero
STEPS = 4


def orthogonalise(matrices: Tensor) -> Tensor:
    """Push all singular values towards 1 by a few Newton-Schulz steps: (N, rows, columns) to the same."""
    a, b, c = QUINTIC
    x = matrices.to(torch.bfloat16) if has_bfloat16(matrices.device) else matrices
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(STEPS):
        gram = x @ x.mT  # (N, rows, rows)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, made orthogonal; decoupled weight decay.

    Args:
        parameters: matrices.
        lr: step size; each matrix's is times sqrt(max(1, rows / columns)).
        weight_decay: share of the weights lost in a step of size 1.
        momentum: decay of the momentum.
    """

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, weight_decay: float = 0.01, momentum: float = 0.95
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Step every matrix that has a gradient."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    alike[p.shape].append(p)
            for shape, parameters in alike.items():
                scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                updates = orthogonalise(torch.stack([self._momentum(p, group["momentum"]) for p in parameters]))
                for p, update in zip(parameters, updates, strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-scale)
        return loss

    def _momentum(self, p: Tensor, decay: float) -> Tensor:
        state, grad = self.state[p], p.grad
        assert grad is not None
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].lerp_(grad, 1 - decay)
        return grad.lerp(state["momentum"], decay)

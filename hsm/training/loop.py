"""The one training loop: wall-clock budgets, checkpoints on a timer, exact resume, one process or many."""

from __future__ import annotations

import csv
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from hsm.errors import HSMError
from hsm.training.muon import Muon
from hsm.training.processes import averaged, number, of_the_first, processes, wait_for_all
from hsm.training.stages import Stage

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Budget:
    """How long to train and how often to save and tell.

    Args:
        minutes: wall-clock budget of the whole run, earlier parts of a resumed run included.
        steps: a budget in steps instead, for runs that must repeat exactly; 0 for none.
        save_s: seconds between checkpoints.
        report_s: seconds between progress lines.
    """

    minutes: float = 60.0
    steps: int = 0
    save_s: float = 120.0
    report_s: float = 30.0

    def fraction(self, elapsed_s: float, step: int) -> float:
        """Share of the budget that is spent, 0 to 1."""
        return min(1.0, step / self.steps if self.steps else elapsed_s / (60 * self.minutes))


def learning_rate_factor(fraction: float) -> float:
    """Warm-up over the first 3 %, then a cosine down to 5 %."""
    return min(1.0, fraction / 0.03 + 0.02) * (0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * fraction)))


def make_optimisers(stage: Stage) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside blocks, AdamW for the rest."""
    named = [item for module in stage.trains.values() for item in module.named_parameters()]
    named = [(name, p) for name, p in named if p.requires_grad]
    matrices = [p for name, p in named if p.ndim == 2 and any(part in name for part in stage.matrices)]
    chosen = {id(p) for p in matrices}
    others = [p for _, p in named if id(p) not in chosen]
    settings = stage.optimisation
    optimisers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(others, lr=settings.adamw_lr, betas=(0.9, 0.98), weight_decay=0.01)
    ]
    if matrices:
        optimisers.append(Muon(matrices, lr=settings.muon_lr, weight_decay=0.1))
    return optimisers


def _average_gradients(parameters: list[nn.Parameter], losses: Tensor) -> Tensor:
    """Make the parameters' gradients the mean over all processes; returns that of the losses.

    One message for all of them. Stages call many methods of their networks, which torch's
    DistributedDataParallel would not see.
    """
    if processes() == 1:
        return losses
    gradients = [p.grad for p in parameters if p.grad is not None]
    together = averaged(torch.cat([losses, *(g.flatten() for g in gradients)]))
    told, *means = torch.split(together, [len(losses), *(g.numel() for g in gradients)])
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))
    return told


class AveragedWeights:
    """Exponential moving average of the trained parameters."""

    def __init__(self, modules: dict[str, nn.Module], decay: float) -> None:
        self.modules, self.decay = modules, decay
        self.values = {
            f"{key}.{name}": p.detach().clone() for key, m in modules.items() for name, p in m.named_parameters()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the present weights; faster in the first steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, module in self.modules.items():
            for name, p in module.named_parameters():
                self.values[f"{key}.{name}"].lerp_(p.detach(), 1 - decay)

    def state(self, key: str) -> dict[str, Tensor]:
        """Averaged state of one network, buffers as they are."""
        module = self.modules[key]
        averaged = {name: self.values[f"{key}.{name}"] for name, _ in module.named_parameters()}
        return {name: averaged.get(name, value) for name, value in module.state_dict().items()}


class Run:
    """A stage under a budget in a folder.

    Of several processes the first alone writes, and its clock is that of all.

    Args:
        stage: what to train.
        folder: for checkpoint, metrics.csv and TensorBoard events.
        budget: see there.
        resume: go on from the folder's checkpoint.

    Raises:
        HSMError: resume without a checkpoint, or a checkpoint of another stage.
    """

    def __init__(self, stage: Stage, folder: Path, budget: Budget, resume: bool = False) -> None:
        self.stage, self.folder, self.budget = stage, folder, budget
        self.optimisers = make_optimisers(stage)
        self.base_rates = [optimiser.param_groups[0]["lr"] for optimiser in self.optimisers]
        self.average = AveragedWeights(stage.trains, stage.optimisation.ema)
        self.step, self.elapsed_s = 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(stage.context.seed)
        if resume:
            self._restore()

    def _restore(self) -> None:
        path = self.folder / CHECKPOINT
        if not path.exists():
            raise HSMError(f"--resume: there is no {path}; start without --resume first.")
        saved = torch.load(path, map_location="cpu", weights_only=True)
        if saved["stage"] != self.stage.name:
            raise HSMError(f"{path}: holds stage {saved['stage']!r}, wanted {self.stage.name!r}.")
        for key, module in self.stage.trains.items():
            module.load_state_dict(saved["modules"][key])
        for optimiser, state in zip(self.optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        for name, value in saved["average"].items():
            self.average.values[name].copy_(value)
        for name, generator in self.stage.random_state.items():
            generator.bit_generator.state = saved["random_state"][name]
        torch.set_rng_state(saved["torch_rng"])
        self.step, self.elapsed_s = saved["step"], saved["elapsed_s"]

    def save(self) -> None:
        """Write the checkpoint, in the first process; the old one stays until the new one is whole."""
        if number() > 0:
            return
        state: dict[str, Any] = {
            "stage": self.stage.name,
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "modules": {key: m.state_dict() for key, m in self.stage.trains.items()},
            "average": self.average.values,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "random_state": {name: g.bit_generator.state for name, g in self.stage.random_state.items()},
            "torch_rng": torch.get_rng_state(),
        }
        part = self.folder / (CHECKPOINT + ".part")
        torch.save(state, part)
        part.rename(self.folder / CHECKPOINT)

    def _one_step(self) -> dict[str, float]:
        factor = learning_rate_factor(self.budget.fraction(self.elapsed_s, self.step))
        for optimiser, rate in zip(self.optimisers, self.base_rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
            optimiser.zero_grad(set_to_none=True)
        losses = self.stage.losses()
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        parameters = [p for m in self.stage.trains.values() for p in m.parameters() if p.grad is not None]
        told = _average_gradients(parameters, torch.stack([value.detach().float() for value in losses.values()]))
        nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1
        self.average.update(self.step)
        return dict(zip(losses, told.tolist(), strict=True))

    def train(self) -> None:
        """Train until the budget is spent; save on a timer and at the end."""
        wait_for_all()  # some may still be reading what the first will write
        writer = SummaryWriter(str(self.folder)) if number() == 0 else None
        sums: dict[str, float] = {}
        count, reported, saved = 0, time.monotonic(), time.monotonic()
        while self.budget.fraction(self.elapsed_s, self.step) < 1.0:
            begin = time.monotonic()
            for name, value in self._one_step().items():
                sums[name] = sums.get(name, 0.0) + value
            count += 1
            now = time.monotonic()
            self.elapsed_s = of_the_first(self.elapsed_s + now - begin, self.stage.device)
            done = self.budget.fraction(self.elapsed_s, self.step) >= 1.0
            if writer and (now - reported >= self.budget.report_s or done):
                self._report({name: value / count for name, value in sums.items()}, writer)
                sums, count, reported = {}, 0, now
            if now - saved >= self.budget.save_s:
                self.save()
                saved = now
        self.save()
        if writer:
            writer.close()

    def _report(self, means: dict[str, float], writer: SummaryWriter) -> None:
        fraction = self.budget.fraction(self.elapsed_s, self.step)
        left_s = self.elapsed_s / max(fraction, 1e-9) * (1 - fraction)
        text = "  ".join(f"{name} {value:.4f}" for name, value in means.items())
        print(
            f"{self.stage.name}  step {self.step}  {self.elapsed_s / 60:.1f} min, {left_s / 60:.1f} left  {text}",
            flush=True,
        )
        for name, value in means.items():
            writer.add_scalar(name, value, self.step)
        path = self.folder / "metrics.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            table = csv.writer(file)
            if new:
                table.writerow(["step", "elapsed_s", *means])
            table.writerow([self.step, round(self.elapsed_s, 1), *(round(v, 6) for v in means.values())])

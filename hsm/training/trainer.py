"""The one training loop: a wall-clock budget, checkpoints on a timer, exact resume, one process or many."""

from __future__ import annotations

import csv
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from hsm.errors import HSMError
from hsm.training.distributed import average_gradients, barrier, rank
from hsm.training.stage import Stage

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Budget:
    """How long to train, earlier parts of a resumed run included, and the seconds between saves, reports, measures.

    `steps`, where not 0, is the budget instead of `minutes`: for runs that must repeat exactly.
    """

    minutes: float = 60.0
    steps: int = 0
    save_s: float = 120.0
    report_s: float = 30.0
    evaluate_s: float = 900.0

    def fraction(self, elapsed_s: float, step: int) -> float:
        """Share of the budget that is spent, 0 to 1."""
        return min(1.0, step / self.steps if self.steps else elapsed_s / (60 * self.minutes))


def learning_rate_factor(fraction: float) -> float:
    """Warm-up over the first 3 %, then a cosine down to 5 %."""
    return min(1.0, fraction / 0.03 + 0.02) * (0.05 + 0.95 * (0.5 + 0.5 * math.cos(math.pi * fraction)))


class EMA:
    """Exponential moving average of the trained parameters."""

    def __init__(self, modules: dict[str, nn.Module], decay: float) -> None:
        self.modules, self.decay = modules, decay
        self.values = {name: p.detach().clone() for name, p in self._parameters()}

    def _parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for key, module in self.modules.items():
            yield from ((f"{key}.{name}", p) for name, p in module.named_parameters())

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the present weights; faster in the first steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, p in self._parameters():
            self.values[name].lerp_(p, 1 - decay)

    def state(self, key: str) -> dict[str, Tensor]:
        """Averaged state of one network, buffers as they are."""
        return {name: self.values.get(f"{key}.{name}", v) for name, v in self.modules[key].state_dict().items()}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The networks have the averaged weights within the block."""
        kept = {name: p.data for name, p in self._parameters()}
        for name, p in self._parameters():
            p.data = self.values[name]
        yield
        for name, p in self._parameters():
            p.data = kept[name]


class Batches(Dataset[Any]):
    """Batch n is drawn from a generator of its own number, so a resumed run repeats none, by however many workers."""

    def __init__(self, stage: Stage) -> None:
        self.draw, self.seed = stage.draw, [stage.context.seed, rank()]

    def __getitem__(self, number: int) -> Any:
        return self.draw(np.random.default_rng([*self.seed, number]))


def _mean(values: list[float]) -> float:
    """Over those that are numbers: a measure that a batch does not have is none."""
    found = [value for value in values if not math.isnan(value)]
    return sum(found) / len(found) if found else math.nan


class Trainer:
    """A stage under a budget in a folder; of several ranks the first alone writes.

    Args:
        stage: what to train.
        folder: for checkpoint, tables and TensorBoard events.
        budget: see there.
        resume: go on from the folder's checkpoint.
        workers: processes that draw batches beside the steps; 0 draws them in between.

    Raises:
        HSMError: resume without a checkpoint, or a checkpoint of another stage.
    """

    def __init__(self, stage: Stage, folder: Path, budget: Budget, resume: bool = False, workers: int = 0) -> None:
        self.stage, self.folder, self.budget, self.workers = stage, folder, budget, workers
        self.parameters = [p for m in stage.trains.values() for p in m.parameters() if p.requires_grad]
        self.optimisers = stage.optimisers()
        self.base_rates = [optimiser.param_groups[0]["lr"] for optimiser in self.optimisers]
        self.ema = EMA(stage.trains, stage.ema_decay)
        self.step, self.elapsed_s = 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)
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
        for name, value in saved["ema"].items():
            self.ema.values[name].copy_(value)
        self.step, self.elapsed_s = saved["step"], saved["elapsed_s"]

    def save(self) -> None:
        """Write the checkpoint; the old one stays until the new one is whole.

        Random states are not in it: batches and steps are seeded with their numbers.
        """
        if rank() > 0:
            return
        state = {
            "stage": self.stage.name,
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "modules": {key: m.state_dict() for key, m in self.stage.trains.items()},
            "ema": self.ema.values,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }
        part = self.folder / (CHECKPOINT + ".part")
        torch.save(state, part)
        part.rename(self.folder / CHECKPOINT)

    @property
    def fraction(self) -> float:
        """Share of the budget that is spent, 0 to 1."""
        return self.budget.fraction(self.elapsed_s, self.step)

    def train(self) -> None:
        """Train until the budget is spent; save on a timer and at the end."""
        barrier()  # some may still be reading what the first will write
        self._clock = time.monotonic()
        if self.fraction < 1.0:
            batches = self._batches()
            for _ in range(self.stage.prefill):
                self.stage.prepare(next(batches))
        saved = reported = evaluated = time.monotonic()
        told: dict[str, list[float]] = defaultdict(list)
        with self._log() as log:
            while self.fraction < 1.0:
                for name, value in self._step(next(batches)).items():
                    told[name].append(value)
                clock, done = self._clock, self.fraction >= 1.0
                if clock - reported >= self.budget.report_s or done:
                    log("metrics", {name: _mean(values) for name, values in told.items()})
                    told.clear()
                    reported = clock
                if clock - evaluated >= self.budget.evaluate_s or done:
                    with self.ema.applied(), torch.no_grad():
                        log("evaluation", self.stage.evaluate())
                    evaluated = clock
                if clock - saved >= self.budget.save_s:
                    self.save()
                    saved = clock
            self.save()

    def _batches(self) -> Iterator[Any]:
        loader = DataLoader(
            Batches(self.stage),
            batch_size=None,
            sampler=range(self.step, sys.maxsize),
            num_workers=self.workers,
            multiprocessing_context="fork" if self.workers else None,  # they share the decoded clips
            prefetch_factor=3 if self.workers else None,
            pin_memory=self.stage.device.type == "cuda",
        )
        return iter(loader)

    def _step(self, batch: Any) -> dict[str, float]:
        factor = learning_rate_factor(self.fraction)
        for optimiser, rate in zip(self.optimisers, self.base_rates, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
            optimiser.zero_grad(set_to_none=True)
        seed = np.random.SeedSequence([self.stage.context.seed, rank(), self.step])
        torch.manual_seed(int(seed.generate_state(1)[0]))
        losses = self.stage.training_step(batch)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        before, self._clock = self._clock, time.monotonic()
        elapsed = torch.tensor(self._clock - before, device=self.stage.device)
        values = torch.stack([elapsed, *(value.detach().float() for value in losses.values())])
        # The mean of the ranks' clocks is the one by which they all end.
        elapsed_s, *means = average_gradients(self.parameters, values).tolist()
        nn.utils.clip_grad_norm_(self.parameters, self.stage.clip_norm)
        for optimiser in self.optimisers:
            optimiser.step()
        self.step += 1
        self.elapsed_s += elapsed_s
        self.ema.update(self.step)
        return dict(zip(losses, means, strict=True))

    @contextmanager
    def _log(self) -> Iterator[Any]:
        """A function that writes (table, values) to TABLE.csv, TensorBoard and the progress bar; rank 0 alone."""
        if rank() > 0:
            yield lambda table, values: None
            return
        form = "{desc} {percentage:3.0f}% {elapsed}<{remaining}{postfix}"
        with SummaryWriter(str(self.folder)) as writer, tqdm(total=1.0, desc=self.stage.name, bar_format=form) as bar:

            def log(table: str, values: dict[str, float]) -> None:
                if not values:
                    return
                bar.n = self.fraction
                bar.set_postfix({"step": self.step} | {name: f"{value:.4f}" for name, value in values.items()})
                for name, value in values.items():
                    writer.add_scalar(f"{table}/{name}", value, self.step)
                with (self.folder / f"{table}.csv").open("a", newline="") as file:
                    rows = csv.writer(file)
                    if file.tell() == 0:
                        rows.writerow(["step", "elapsed_s", *values])
                    rows.writerow([self.step, round(self.elapsed_s, 1), *(round(v, 6) for v in values.values())])

            yield log

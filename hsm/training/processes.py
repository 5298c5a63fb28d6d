"""Training in several processes, as `torchrun` starts them; alone, nothing here changes anything.

    every process   the same weights, generators and numbers, drawn for the batch of all ──> its share of them
    its share   ──> losses ──> gradients ──averaged──> the same step everywhere

An example is drawn from a generator of its own, whose seed is one of these numbers, so that each process mixes
its own examples alone and they are those that one process would mix. So a checkpoint of the first process is
that of all, and also goes on with another number of processes. Losses over pairs of examples and means over
words are those of the batch of all as well: N processes with a batch of B take the steps of one with N * B.
Two things bound this: sums are rounded in another order, and the mask stage asks every eighth mixture of a
process for an absent sound, so that there B is to be a multiple of eight.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

PATIENCE = timedelta(hours=12)  # while the first decodes all clips; where a process dies, torchrun ends the others


def processes() -> int:
    """How many train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def number() -> int:
    """Which of them this one is; the first, 0, is the one that writes."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextmanager
def joined(device: str) -> Iterator[torch.device]:
    """Join the processes that `torchrun` started, where it did, until the end of the block.

    Args:
        device: where to compute; of several GPUs "cuda" is the process's own.

    Yields:
        The device.
    """
    chosen = torch.device(device)
    if not dist.is_torchelastic_launched():
        yield chosen
        return
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(chosen)
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield chosen
    finally:
        dist.destroy_process_group()


@contextmanager
def first_goes_first() -> Iterator[None]:
    """A block that the first process has left before the others enter, so that they find what it made."""
    if processes() > 1 and number() > 0:
        dist.barrier()
    yield
    if processes() > 1 and number() == 0:
        dist.barrier()


def wait_for_all() -> None:
    """Return when all processes have come here."""
    if processes() > 1:
        dist.barrier()


def generators(rng: np.random.Generator, size: int) -> list[np.random.Generator]:
    """A generator for each of this process's examples.

    Args:
        rng: draws their seeds, those of the other processes too.
        size: examples of a process.
    """
    seeds = rng.integers(2**63, size=size * processes())
    return [np.random.default_rng(seed) for seed in share(seeds)]


def share(everything: Any) -> Any:
    """This process's stretch of what was drawn for all: a tensor, an array or a list, along its first axis."""
    ends = [len(everything) * k // processes() for k in (number(), number() + 1)]
    return everything[slice(*ends)]


@torch.no_grad()
def averaged(values: Tensor) -> Tensor:
    """The mean over all processes, without gradients."""
    if processes() == 1:
        return values
    mean = values.clone()
    dist.all_reduce(mean)
    return mean / processes()


def mean_over_all(total: Tensor, count: int | Tensor) -> Tensor:
    """A process's part of a mean whose parts differ in size: the processes' average of it is the mean.

    Args:
        total: sum of what this process has.
        count: of how many.
    """
    return total / averaged(torch.as_tensor(count, dtype=torch.float32, device=total.device))


def gathered(rows: Tensor) -> Tensor:
    """All processes' rows in order.

    Every process computes the same loss of them, and gradients are averaged afterwards; so the gradient of
    a process's own rows is taken as many times as there are processes.
    """
    if processes() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(processes())]
    dist.all_gather(parts, rows.detach().contiguous())
    if rows.requires_grad:
        parts[number()] = rows.detach() + processes() * (rows - rows.detach())
    return torch.cat(parts)


def gathered_list(items: list[Any]) -> list[Any]:
    """All processes' items in order."""
    if processes() == 1:
        return items
    parts: list[Any] = [None] * processes()
    dist.all_gather_object(parts, items)
    return [item for part in parts for item in part]


def of_the_first(seconds: float, device: torch.device) -> float:
    """What the first process's clock says."""
    if processes() == 1:
        return seconds
    told = torch.tensor(seconds, dtype=torch.float64, device=device)
    dist.broadcast(told, 0)
    return float(told)

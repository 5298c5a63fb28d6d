"""Plain data parallelism under `torchrun`: every rank draws batches of its own, gradients are averaged."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather

PATIENCE = timedelta(hours=12)  # while rank 0 decodes all clips; where a process dies, torchrun ends the others


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is; 0 writes."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextmanager
def process_group(device: str) -> Iterator[torch.device]:
    """Join the processes that `torchrun` started, where it did; yields the device, of several GPUs the rank's own."""
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


def barrier() -> None:
    """Return when all ranks have come here."""
    if world_size() > 1:
        dist.barrier()


@contextmanager
def rank_zero_first() -> Iterator[None]:
    """A block that rank 0 has left before the others enter, so that they find what it made."""
    if rank() > 0:
        barrier()
    yield
    if rank() == 0:
        barrier()


def gather(rows: Tensor) -> Tensor:
    """All ranks' rows in order; gradients flow to the rank that they come from."""
    return torch.cat(all_gather(rows.contiguous())) if world_size() > 1 else rows  # type: ignore[no-untyped-call]


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter], values: Tensor) -> Tensor:
    """Make gradients their mean over all ranks; returns the mean of `values` (N,), which travel along.

    One message, by hand: stages call many methods of their networks, which DistributedDataParallel does not see.
    """
    if world_size() == 1:
        return values
    parameters = list(parameters)
    for p in parameters:
        if p.grad is None:  # another rank's batch may have used it
            p.grad = torch.zeros_like(p)
    message = torch.cat([values, *(p.grad.flatten() for p in parameters)])  # type: ignore[union-attr]
    dist.all_reduce(message)
    message /= world_size()
    mean, *gradients = message.split([len(values), *(p.numel() for p in parameters)])  # type: ignore[no-untyped-call]
    for p, gradient in zip(parameters, gradients, strict=True):
        p.grad.copy_(gradient.view_as(p))  # type: ignore[union-attr]
    return mean

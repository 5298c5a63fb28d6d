"""Where and how precisely to compute: bfloat16 where the machine has it, float16 where matrices wait to be used."""

from __future__ import annotations

import argparse
import os
import time
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hsm.errors import HSMError

Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
TRIAL = (320, 320, 1_280)  # a product as the mask renderer has many
WORTH = 0.8  # of float32's time
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d)  # whose weights make up nearly all of a network


def has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 there: on a GPU, and on CPUs with instructions of their own for it.

    Elsewhere it is emulated, at about a quarter of float32's speed.
    """
    if device.type != "cpu":
        return True
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16"))


def mixed_precision(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 where `has_bfloat16`, else nothing changes."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))


@cache
def best_precision(device: torch.device) -> Precision:
    """bfloat16 on a CUDA GPU, and on a CPU that has it and where a product of it is worth the while; else float32."""
    if device.type == "cuda":
        return "bfloat16"
    if device.type != "cpu" or not has_bfloat16(device):
        return "float32"
    return "bfloat16" if _product_s(torch.bfloat16) <= WORTH * _product_s(torch.float32) else "float32"


def _product_s(dtype: torch.dtype) -> float:
    """Seconds of the fastest of a few products on the CPU."""
    rows, inner, columns = TRIAL
    a, b = torch.ones(rows, inner, dtype=dtype), torch.ones(inner, columns, dtype=dtype)
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        torch.mm(a, b)
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def chosen_device(device: str) -> torch.device:
    """A device by torch's name, the fastest that is there for "auto"; `HSMError` for one that is not."""
    if device == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise HSMError(f'device: got {device!r}, which is not to be had here ({error}); try "auto".') from error
    return chosen


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """`--device`, and the variable of the environment that stands in for it."""
    told = "auto, cpu, cuda or mps; by default HSM_DEVICE of the environment, or auto: the fastest there is"
    parser.add_argument("--device", default=os.environ.get("HSM_DEVICE") or "auto", help=told)


def chosen_precision(precision: str, device: torch.device) -> Precision:
    """What a caller asked for, "" for the best of the device; `HSMError` for another name."""
    if not precision:
        return best_precision(device)
    for known in PRECISIONS:
        if precision == known:
            return known
    raise HSMError(f"precision: got {precision!r}; wanted {' or '.join(map(repr, PRECISIONS))}.")


def to_bfloat16(network: nn.Module) -> None:
    """Hold the weights of linear layers and convolutions in bfloat16, so that autocast has nothing to convert."""
    for layer in network.modules():
        if isinstance(layer, LAYERS):
            layer.weight.data = layer.weight.data.bfloat16()


class _Widened(nn.Module):
    def forward(self, held: Tensor) -> Tensor:
        """Half precision as float32."""
        return held.float()


def widen_at_use(network: nn.Module) -> None:
    """Of a network in float16: matrices of linear layers stay so and are widened at every use, all else at once.

    Half the memory for a few hundredths of the time; the same values as when all is widened at once.
    """
    for layer in list(network.modules()):
        for name, parameter in list(layer.named_parameters(recurse=False)):
            if isinstance(layer, nn.Linear) and name == "weight":
                parametrize.register_parametrization(layer, name, _Widened(), unsafe=True)
            else:
                parameter.data = parameter.data.float()

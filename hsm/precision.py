"""Half precision, where the machine computes it natively."""

from __future__ import annotations

import torch


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

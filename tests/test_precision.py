"""bfloat16 is used only where the machine has instructions for it."""

from __future__ import annotations

import pytest
import torch

from hsm.precision import has_bfloat16, mixed_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16", "bf16"])
def test_a_cpu_with_bfloat16_instructions_computes_in_it(monkeypatch: pytest.MonkeyPatch, instructions: str) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {instructions: True})
    with mixed_precision(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


def test_a_cpu_without_them_stays_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, "avx512_bf16": False})
    with mixed_precision(CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_a_gpu_always_has_it() -> None:
    assert has_bfloat16(torch.device("cuda"))

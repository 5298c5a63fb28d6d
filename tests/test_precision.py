"""bfloat16 is used only where the machine has instructions for it, and changes next to nothing."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_weights import save_tiny

from hsm import HSM, Audio, HSMError, SeparationOptions, precision
from hsm import __main__ as command
from hsm.networks.layers import TransformerBlock
from hsm.page.handlers import Handlers
from hsm.page.requests import AS_UNDERSTOOD
from hsm.precision import (
    add_device_option,
    best_precision,
    chosen_device,
    chosen_precision,
    has_bfloat16,
    mixed_precision,
    to_bfloat16,
    widen_at_use,
)
from hsm.records import Renderer

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


@pytest.mark.parametrize(("seconds_in_bfloat16", "wanted"), [(0.5, "bfloat16"), (0.9, "float32")])
def test_a_cpu_that_has_bfloat16_uses_it_where_a_product_gains_by_it(
    monkeypatch: pytest.MonkeyPatch, seconds_in_bfloat16: float, wanted: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    monkeypatch.setattr(precision, "_product_s", lambda dtype: seconds_in_bfloat16 if dtype == torch.bfloat16 else 1.0)
    best_precision.cache_clear()
    assert best_precision(CPU) == wanted
    best_precision.cache_clear()


def test_the_best_precision_of_other_devices_needs_no_trial() -> None:
    assert best_precision(torch.device("cuda")) == "bfloat16"
    assert best_precision(torch.device("mps")) == "float32"


def test_a_precision_is_taken_by_name_and_an_unknown_one_refused() -> None:
    assert chosen_precision("bfloat16", CPU) == "bfloat16"
    assert chosen_precision("", CPU) == best_precision(CPU)
    with pytest.raises(HSMError, match="precision: got 'float16'; wanted 'float32' or 'bfloat16'"):
        chosen_precision("float16", CPU)


def test_matrices_widened_at_use_give_the_very_values_of_those_widened_at_once() -> None:
    torch.manual_seed(0)
    block, x = TransformerBlock(32, 2).half(), torch.randn(1, 5, 32)
    held = copy.deepcopy(block)
    widen_at_use(held)
    assert torch.equal(held(x), block.float()(x))
    size = {name: p.element_size() for name, p in held.named_parameters() if p.ndim == 2}
    assert set(size.values()) == {2}
    assert len(size) == 6, "query, key, value, out and two of the feed-forward"


def test_a_network_held_in_bfloat16_computes_what_autocast_computes() -> None:
    torch.manual_seed(0)
    block, x = TransformerBlock(32, 2).requires_grad_(False), torch.randn(1, 5, 32)
    with torch.autocast("cpu", torch.bfloat16):
        wanted = block(x)
        to_bfloat16(block)
        assert torch.equal(block(x), wanted)
    assert block.feed[0].weight.dtype == torch.bfloat16
    assert block.feed_norm.weight.dtype == torch.float32


@pytest.mark.parametrize("renderer", ["mask", "codec", "audiosep"])
def test_a_model_in_bfloat16_separates_nearly_as_in_single_precision(
    tmp_path: Path, make_sound: Callable[..., Audio], renderer: Renderer
) -> None:
    folder, options = save_tiny(tmp_path), SeparationOptions(renderer=renderer)
    single, half = (
        HSM.load(folder, precision=name).separate(make_sound(12.0), "extract the dog", options)
        for name in ("float32", "bfloat16")
    )
    assert half.target.samples.dtype == half.attention.dtype == half.global_target.dtype == np.float32
    assert np.abs(half.mask - single.mask).max() < 0.02
    assert not np.array_equal(half.mask, single.mask)
    if renderer != "codec":  # which draws tokens: a hair's difference may turn one
        np.testing.assert_allclose(half.target.samples + half.residual.samples, single.mixture.samples, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Dynamo detected")
def test_compiled_networks_separate_alike(tmp_path: Path, make_sound: Callable[..., Audio]) -> None:
    folder, mixture = save_tiny(tmp_path), make_sound(2.0)
    plain, compiled = (
        HSM.load(folder, precision="float32", compiler=name).separate(mixture, "extract the dog")
        for name in ("", "aot_eager")
    )
    np.testing.assert_allclose(compiled.mask, plain.mask, atol=1e-5)


def test_what_no_rule_reads_is_read_in_bfloat16_too_by_package_page_and_command(
    tmp_path: Path, make_sound: Callable[..., Audio]
) -> None:
    folder, text = save_tiny(tmp_path / "weights"), "I hate that siren"
    mixture = make_sound(1.0).save(tmp_path / "a.wav")

    def outcome(precision: Any) -> tuple[str, str, int]:
        model = HSM.load(folder, precision=precision)
        try:
            read = str(model.parse(text))
        except HSMError as error:  # a network of random weights may find nothing
            read = str(error)
        shown = Handlers(model).understood(text, AS_UNDERSTOOD, "")
        request = ["separate", str(mixture), text, "-o", str(tmp_path / precision), "--weights", str(folder)]
        return read, shown, command.main([*request, "--precision", precision])

    single, half = outcome("float32"), outcome("bfloat16")
    assert half == single
    assert single[1], "typing shows something"


def test_the_fastest_device_is_chosen_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert chosen_device("auto").type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert chosen_device("auto").type == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert chosen_device("auto").type == "cpu"


def test_the_device_comes_from_the_command_line_else_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def device(*arguments: str) -> str:
        parser = argparse.ArgumentParser()
        add_device_option(parser)
        return str(parser.parse_args(arguments).device)

    monkeypatch.delenv("HSM_DEVICE", raising=False)
    assert device() == "auto"
    monkeypatch.setenv("HSM_DEVICE", "cuda")
    assert (device(), device("--device", "cpu")) == ("cuda", "cpu")

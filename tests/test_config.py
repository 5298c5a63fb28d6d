"""Sizes: the paper's are the paper's, and a configuration is read exactly or not at all."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from hsm.config import CONFIGS, PAPER, SMALL, TINY, config_from_dict
from hsm.errors import HSMError
from hsm.evaluation.baselines.audiosep import SIZES, AudioSepBaseline, ResUNetConfig
from hsm.model import build_modules
from hsm.networks.audiomae import PatchDecoder


def count(*modules: nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def block(width: int) -> int:
    """Two layer norms, four projections of attention, a feed-forward of four times the width."""
    return 4 * width + 4 * linear(width, width) + linear(width, 4 * width) + linear(4 * width, width)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_configuration_survives_the_way_through_a_dict(name: str) -> None:
    config = CONFIGS[name]
    assert config.name == name
    assert config_from_dict(config.to_dict()) == config


def change(values: dict[str, Any], part: str | None, key: str, remove: bool) -> dict[str, Any]:
    inner = values if part is None else values[part]
    if remove:
        del inner[key]
    else:
        inner[key] = 1
    return values


@pytest.mark.parametrize(
    ("part", "key", "remove", "told"),
    [
        (None, "vocoder", False, r"config: unknown keys \['vocoder'\], missing keys \[\]"),
        (None, "mask", True, r"config: unknown keys \[\], missing keys \['mask'\]"),
        ("audiomae", "depth", False, r"config.audiomae: unknown keys \['depth'\]"),
        ("text", "max_tokens", True, r"config.text: .*missing keys \['max_tokens'\]"),
    ],
)
def test_unknown_and_missing_keys_are_refused_by_name(part: str | None, key: str, remove: bool, told: str) -> None:
    with pytest.raises(HSMError, match=told):
        config_from_dict(change(TINY.to_dict(), part, key, remove))


def test_the_papers_networks_have_the_papers_sizes() -> None:
    with torch.device("meta"):
        modules: dict[str, Any] = build_modules(PAPER)
    d, decoder, pixels = 768, 384, 256

    mae = modules["audiomae"]
    encoder = linear(pixels, d) + 12 * block(d) + 2 * d
    assert count(mae.embed, mae.blocks, mae.norm) == encoder
    assert 84e6 < encoder < 87e6, "ViT-B"
    with torch.device("meta"):
        patch_decoder = PatchDecoder(PAPER.audiomae)
    assert count(patch_decoder) == (
        linear(d, decoder) + decoder + 4 * block(decoder) + 2 * decoder + linear(decoder, pixels)
    )

    layer = 4 * 2 * d + 2 * 4 * linear(d, d) + 2 * (linear(d, 4 * d) + linear(4 * d, d))
    heads = linear(d, 2) + 3 * linear(d, d) + 1  # match; text in, word in and out; temperature
    assert count(modules["q_audio"]) == d + 2 * layer + 2 * d + heads
    assert modules["q_audio"].query.shape == (1, 1, d), "one query"

    condition = 3 * linear(d, d) + 4 * d
    h1, h2 = modules["global_separator"], modules["local_separator"]
    assert count(h1) == condition + 6 * block(d) + 2 * d + linear(d, d)
    assert count(h2) == condition + linear(d, d) + 12 * block(d) + 2 * d + linear(d, d) + d + 2  # + the gate
    assert {b.attention.heads for b in (*h1.blocks, *h2.blocks)} == {8}


def test_the_rival_has_its_papers_channels_there_and_fits_beside_ours_in_the_bundle() -> None:
    assert SIZES["paper"].widths == ResUNetConfig().widths
    assert SIZES["paper"].condition_width == ResUNetConfig().condition_width
    with torch.device("meta"):
        assert count(AudioSepBaseline().build(SMALL)) < 2.6e6


@pytest.mark.parametrize("config", [SMALL, TINY], ids=["small", "tiny"])
def test_the_other_configurations_can_be_built(config: Any) -> None:
    with torch.device("meta"):
        modules = build_modules(config)
    assert set(modules) == {
        "sound_encoder",
        "audiomae",
        "q_audio",
        "global_separator",
        "local_separator",
        "mask",
        "tagger",
        "codec",
        "decoder",
        "instruction",
    }
    total = sum(count(module) for module in modules.values())
    assert total * 2 < 100e6, "as fp16 all weights stay below 100 MB"
    assert all(count(module) * 2 < 50e6 for module in modules.values()), "and every file below 50 MB"

"""The sound encoder's features stand on the patch grid, and its tagger names what a window holds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hsm.config import TINY
from hsm.features import MEL_BANDS, PATCH, PATCH_BANDS
from hsm.networks.sound_encoder import SILENT_MEL, SoundEncoder
from hsm.networks.tagger import Tagger

E, WIDE_E = TINY.sound_encoder.widths[1:]


@pytest.fixture
def encoder() -> SoundEncoder:
    torch.manual_seed(0)
    return SoundEncoder(TINY.sound_encoder).eval()


def mel(columns: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, columns * PATCH, MEL_BANDS, generator=torch.Generator().manual_seed(columns))


@pytest.mark.parametrize("columns", [1, 2, 5, 64])
def test_there_is_a_tile_for_every_patch_and_a_wide_one_for_every_four(encoder: SoundEncoder, columns: int) -> None:
    sound = encoder(mel(columns, 2))
    assert sound.tiles.shape == (2, columns * PATCH_BANDS, E)
    assert sound.wide.shape == (2, -(-columns // 2), PATCH_BANDS // 2, WIDE_E)


def test_an_odd_number_of_columns_is_as_if_silence_followed(encoder: SoundEncoder) -> None:
    odd = mel(3)
    padded = torch.cat([odd, torch.full((1, PATCH, MEL_BANDS), SILENT_MEL)], 1)
    assert torch.allclose(encoder(odd).tiles, encoder(padded).tiles[:, : 3 * PATCH_BANDS], atol=1e-6)


def test_a_tile_reads_the_patch_that_it_stands_for(encoder: SoundEncoder) -> None:
    sound = mel(16).requires_grad_()
    patch = 9 * PATCH_BANDS + 2  # column 9, band 2
    (encoder(sound).tiles[0, patch] * torch.arange(E)).sum().backward()  # a plain sum is 0 behind a LayerNorm
    assert sound.grad is not None
    reached = sound.grad[0].abs()
    middle = reached[9 * PATCH : 10 * PATCH, 2 * PATCH : 3 * PATCH].mean()
    assert middle > 3 * reached.mean(), "most of what it tells is of its own place"


def test_what_the_whole_window_holds_changes_every_tile(encoder: SoundEncoder) -> None:
    for block in encoder.levels[1]:  # type: ignore[union-attr]
        torch.nn.init.normal_(block.context.weight)  # zero at first
    sound = mel(32)
    changed = sound.clone()
    changed[:, -PATCH:] += 3
    assert not torch.allclose(encoder(sound).tiles[:, 0], encoder(changed).tiles[:, 0], atol=1e-4)


def test_examples_of_a_batch_do_not_hear_each_other(encoder: SoundEncoder) -> None:
    both = mel(4, 2)
    assert torch.allclose(encoder(both).tiles[:1], encoder(both[:1]).tiles, atol=1e-5)


def test_the_tagger_hears_a_sound_wherever_in_the_window_it_is() -> None:
    torch.manual_seed(0)
    tagger = Tagger(TINY.tagger, WIDE_E, 32)
    wide = torch.randn(1, 4, PATCH_BANDS // 2, WIDE_E)
    labels, names = tagger(wide)
    assert (labels.shape, names.shape) == ((1, TINY.tagger.labels), (1, TINY.tagger.names))
    moved = tagger(wide.roll(2, 1))
    assert torch.allclose(moved[0], labels, atol=1e-6)
    assert torch.allclose(moved[1], names, atol=1e-6)
    assert not torch.allclose(tagger(2 * wide)[1], names, atol=1e-3)

"""Patches in temporal order, and a masked autoencoder that cannot peek."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hsm.config import TINY
from hsm.features import MEL_BANDS, PATCH_BANDS
from hsm.networks.audiomae import AudioMAE, MaskedPatches, PatchDecoder, positions, to_patches

E = 16
TILES = torch.randn(2, 512, E, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def network() -> AudioMAE:
    torch.manual_seed(0)
    return AudioMAE(TINY.audiomae, E).eval()


@pytest.fixture
def decoder() -> PatchDecoder:
    torch.manual_seed(1)
    return PatchDecoder(TINY.audiomae).eval()


def order(seed: int = 3) -> torch.Tensor:
    return torch.rand(2, 32, generator=torch.Generator().manual_seed(seed)).argsort(1)


def touched(mel: Tensor) -> Tensor:
    """(B, P) which patches a gradient reached."""
    assert mel.grad is not None
    return to_patches(mel.grad).abs().sum(-1) > 0


def test_patches_stand_in_temporal_order() -> None:
    mel = torch.arange(64 * MEL_BANDS).float().reshape(1, 64, MEL_BANDS)
    patches = to_patches(mel)
    assert patches.shape == (1, 4 * PATCH_BANDS, 256)
    for column in range(4):
        for band in range(PATCH_BANDS):
            square = mel[0, 16 * column : 16 * column + 16, 16 * band : 16 * band + 16]
            assert torch.equal(patches[0, column * PATCH_BANDS + band], square.reshape(-1))


def test_positions_are_all_different_and_split_into_time_and_frequency() -> None:
    code = positions(torch.arange(64), 32)
    assert code.shape == (512, 32)
    apart = torch.cdist(code, code) + torch.eye(512) * 9
    assert apart.min() > 0.01
    grid = code.unflatten(0, (64, PATCH_BANDS))
    assert torch.equal(grid[:, 0, :16], grid[:, 5, :16]), "the first half tells the column"
    assert torch.equal(grid[0, :, 16:], grid[40, :, 16:]), "the second the band"
    assert torch.equal(positions(torch.arange(5), 32), code[:40]), "however long the sound"


@pytest.mark.parametrize(("frames", "patches"), [(1_024, 512), (16, 8), (48, 24)])
def test_features_have_one_row_a_patch(network: AudioMAE, frames: int, patches: int) -> None:
    mel = torch.randn(2, frames, MEL_BANDS)
    assert network(mel, TILES[:, :patches]).shape == (2, patches, TINY.audiomae.width)


def test_the_order_of_the_patches_matters(network: AudioMAE) -> None:
    mel, tiles = torch.randn(1, 64, MEL_BANDS), TILES[:1, :32]
    swapped = torch.cat([mel[:, 32:], mel[:, :32]], 1), torch.cat([tiles[:, 16:], tiles[:, :16]], 1)
    turned_back = network(*swapped).unflatten(1, (4, 8)).roll(2, 1).flatten(1, 2)
    assert not torch.allclose(network(mel, tiles), turned_back, atol=1e-3)


def masked(network: AudioMAE, decoder: PatchDecoder, mel: Tensor, keep: float, seed: int = 3) -> MaskedPatches:
    return decoder(network, mel, TILES[:, :32], keep, order(seed))


def test_the_sound_encoder_tells_of_visible_patches_alone(network: AudioMAE, decoder: PatchDecoder) -> None:
    mel, tiles = torch.randn(2, 64, MEL_BANDS), TILES[:, :32].clone().requires_grad_()
    assert not torch.allclose(network(mel, TILES[:, :32]), network(mel, TILES[:, :32].flip(1)), atol=1e-3)
    decoder(network, mel, tiles, 0.25, order()).visible.square().sum().backward()
    assert tiles.grad is not None
    reached = tiles.grad.abs().sum(-1) > 0  # (B, P)
    assert reached.sum(1).tolist() == [8, 8]
    assert reached.gather(1, order()[:, :8]).all()


@pytest.mark.parametrize("keep", [0.2, 0.5])
def test_the_encoder_does_not_see_hidden_patches(network: AudioMAE, decoder: PatchDecoder, keep: float) -> None:
    mel = torch.randn(2, 64, MEL_BANDS, requires_grad=True)
    visible = masked(network, decoder, mel, keep).visible
    kept = round(keep * 32)
    assert visible.shape == (2, kept, TINY.audiomae.width)
    visible.square().sum().backward()
    seen = touched(mel)
    assert seen.sum(1).tolist() == [kept, kept]

    noise = torch.randn(2, 32, 256) * ~seen.unsqueeze(-1)  # anything, where nothing was seen
    changed = to_patches(mel.detach()) + noise
    squares = changed.reshape(2, 4, 8, 16, 16).transpose(2, 3).reshape(2, 64, MEL_BANDS)
    assert torch.allclose(to_patches(squares), changed)
    assert torch.equal(masked(network, decoder, squares, keep).visible, visible)


def test_the_loss_looks_at_hidden_patches_alone(network: AudioMAE, decoder: PatchDecoder) -> None:
    mel = torch.randn(2, 64, MEL_BANDS, requires_grad=True)
    masked(network, decoder, mel, 0.25).visible.square().sum().backward()
    seen = touched(mel)
    mel.grad = None
    for parameter in decoder.out.parameters():
        nn.init.zeros_(parameter)  # the guess is zero whatever is seen: what is left is the truth
    loss = masked(network, decoder, mel, 0.25).loss
    loss.backward()
    assert torch.equal(touched(mel), ~seen)
    patches = to_patches(mel.detach())
    wanted = ((patches - patches.mean(-1, keepdim=True)) / (patches.std(-1, keepdim=True) + 0.05)).square().mean(-1)
    assert torch.allclose(loss, wanted[~seen].mean(), rtol=1e-4)


def test_the_order_decides_what_is_hidden(network: AudioMAE, decoder: PatchDecoder) -> None:
    mel = torch.randn(2, 64, MEL_BANDS)
    one, two = (masked(network, decoder, mel, 0.4) for _ in range(2))
    assert torch.equal(one.visible, two.visible)
    assert not torch.equal(one.visible, masked(network, decoder, mel, 0.4, seed=4).visible)

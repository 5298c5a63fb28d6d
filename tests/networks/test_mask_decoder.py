"""A mask of the named sound, and guidance that starts as nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hsm.config import TINY
from hsm.features import COLUMN_SAMPLES, FRAMES_PER_COLUMN, PATCH_BANDS, STFT_BINS, STFT_HOP
from hsm.networks.mask_decoder import ConvBlock, FiLM, Guidance, MaskDecoder
from hsm.networks.sound_encoder import SoundFeatures

W, D, E, COLUMNS = 32, 32, (8, 16), 4
T = COLUMNS * FRAMES_PER_COLUMN + 1


def fresh() -> MaskDecoder:
    torch.manual_seed(0)
    return MaskDecoder(TINY.mask, W, D, E).eval()


def trained() -> MaskDecoder:
    """With the weights drawn that are zero at first."""
    network = fresh()
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return network


@pytest.fixture(scope="module")
def given() -> tuple[Tensor, Tensor, Guidance]:
    """Two mixtures' frames, text and guidance."""
    torch.manual_seed(1)
    guidance = Guidance(torch.randn(2, D), torch.randn(2, COLUMNS * PATCH_BANDS, D))
    return torch.randn(2, T, TINY.mask.width), torch.randn(2, W), guidance


Given = tuple[Tensor, Tensor, Guidance]


def test_guidance_is_nothing_at_first(given: Given) -> None:
    frames, text, guidance = given
    network = fresh()
    logits = network(frames, text, guidance)
    assert logits.shape == (2, T, STFT_BINS)
    assert torch.equal(logits, network(frames, text, None))


def test_guidance_can_be_learnt_from_the_first_step(given: Given) -> None:
    frames, text, guidance = given
    network = fresh()
    for block in network.modules():
        if isinstance(block, FiLM) and block.linear is not None:
            nn.init.normal_(block.linear.weight, std=0.1)
    network(frames, text, guidance).square().sum().backward()
    for guide in (network.global_in, network.local_in):
        assert guide.weight.grad is not None
        assert guide.weight.grad.abs().sum() > 0


def test_once_learnt_every_part_of_the_guidance_matters(given: Given) -> None:
    frames, text, guidance = given
    network = trained()
    usual = network(frames, text, guidance)
    others = (
        network(frames, text, None),
        network(frames, text, guidance._replace(global_target=guidance.global_target + 1)),
        network(frames, text, guidance._replace(local_change=guidance.local_change + 1)),
        network(frames, text + 1, guidance),
        network(frames + 1, text, guidance),
    )
    for other in others:
        assert not torch.allclose(usual, other, atol=1e-3)


def test_zero_guidance_is_no_guidance(given: Given) -> None:
    frames, text, guidance = given
    nothing = Guidance(torch.zeros_like(guidance.global_target), torch.zeros_like(guidance.local_change))
    assert torch.allclose(trained()(frames, text, nothing), trained()(frames, text, None), atol=1e-6)


def test_columns_reach_the_frames_at_their_own_times() -> None:
    columns = torch.arange(COLUMNS).float().reshape(1, -1, 1).expand(1, -1, 8)
    frames = MaskDecoder._to_frames(columns, T, COLUMN_SAMPLES)
    assert frames.shape == (1, T, 8)
    for frame in range(T):
        place = (frame * STFT_HOP) / COLUMN_SAMPLES - 0.5  # counted from the middle of the first column
        assert float(frames[0, frame, 0]) == pytest.approx(min(max(place, 0), COLUMNS - 1), abs=1e-5)


def test_encoding_depends_on_the_spectrum_and_on_the_sound_encoder() -> None:
    network = trained()
    torch.manual_seed(2)
    magnitude = torch.rand(2, T, STFT_BINS)
    sound = SoundFeatures(torch.randn(2, COLUMNS * PATCH_BANDS, E[0]), torch.randn(2, 2, PATCH_BANDS // 2, E[1]))
    frames = network.encode(magnitude, sound)
    assert frames.shape == (2, T, TINY.mask.width)
    assert not torch.allclose(frames, network.encode(2 * magnitude, sound), atol=1e-3)
    for other in (sound._replace(tiles=sound.tiles.flip(1)), sound._replace(wide=sound.wide.flip(2))):
        assert not torch.allclose(frames, network.encode(magnitude, other), atol=1e-3), "which band matters"
    alone = network.encode(magnitude[:1], SoundFeatures(sound.tiles[:1], sound.wide[:1]))
    assert torch.allclose(frames[:1], alone, atol=1e-5), "mixtures of a batch do not hear each other"


def test_film_is_the_identity_at_first_and_scales_and_shifts_by_its_condition() -> None:
    film, x, condition = FiLM(3, 2), torch.randn(1, 4, 2), torch.tensor([[1.0, 0.0, 0.0]])
    assert torch.equal(film(x, condition), x)
    with torch.no_grad():
        film.linear.weight[:, 0] = torch.tensor([0.5, -1.0, 7.0, 0.0])  # scales, then shifts
    assert torch.allclose(film(x, condition), torch.stack([1.5 * x[..., 0] + 7, 0 * x[..., 1]], -1))


@pytest.mark.parametrize("condition_width", [0, 3])
@pytest.mark.parametrize("dilation", [1, 2, 8])
def test_a_block_sees_three_dilations_to_either_side(dilation: int, condition_width: int) -> None:
    block = ConvBlock(4, condition_width, dilation)
    x = torch.randn(1, 61, 4, requires_grad=True)
    out = block(x, torch.randn(1, 3) if condition_width else None)
    assert out.shape == x.shape
    out[0, 30].sum().backward()
    assert x.grad is not None
    reached = x.grad[0].abs().sum(-1).nonzero()[:, 0]
    assert (int(reached.min()), int(reached.max())) == (30 - 3 * dilation, 30 + 3 * dilation)

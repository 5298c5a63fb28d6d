"""The codec is causal, the same piece by piece as at once, and keeps its entries in use."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hsm.config import SMALL, TINY
from hsm.features import CODEC_DELAY, CODEC_HOP, RATE_HZ
from hsm.networks.codec import FLOOR, Codec, CodecConfig, GroupQuantiser

HOPS = 12


@pytest.fixture
def codec() -> Codec:
    torch.manual_seed(0)
    return Codec(TINY.codec).eval()


def sound(samples: int = HOPS * CODEC_HOP, batch: int = 2) -> Tensor:
    return 0.05 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(1))


def test_the_bundled_codec_is_six_kilobits_a_second() -> None:
    config = SMALL.codec
    bits = config.groups * (config.entries - 1).bit_length()
    assert bits * RATE_HZ / CODEC_HOP == 6_000


@pytest.mark.parametrize("samples", [1, 319, 320, 321, 3_840])
def test_tokens_cover_every_sample(codec: Codec, samples: int) -> None:
    tokens = codec.encode(sound(samples))
    frames = -(-samples // CODEC_HOP) + CODEC_DELAY
    assert tokens.shape == (2, frames, 3)
    assert tokens.dtype == torch.long
    assert int(tokens.min()) >= 0
    assert int(tokens.max()) < 8
    assert codec.decode(tokens).shape == (2, (frames - CODEC_DELAY) * CODEC_HOP)


def test_training_sees_the_magnitudes_that_decoding_seeks_phases_for(codec: Codec) -> None:
    wave = codec.padded(sound())
    latents = codec.quantiser.lookup(codec.encode(sound()))
    torch.testing.assert_close(codec(wave), codec.spectrum(latents, codec.start_decoding(2)))
    assert codec.magnitudes(wave).shape == codec(wave).shape == (2, HOPS + CODEC_DELAY, 2, 321)


def test_magnitudes_alone_bring_the_sound_back_but_for_its_phases(codec: Codec) -> None:
    times = torch.arange(16_000) / RATE_HZ
    wave = codec.padded((0.2 * torch.sin(2 * torch.pi * (300 + 400 * times) * times))[None])
    wanted = codec.magnitudes(wave)
    found = codec.inversion(wanted.flatten(1, 2), codec.inversion.start(1)).flatten(1)[:, 480:16_480]
    again = codec.magnitudes(found)
    near = (again - wanted[:, : again.shape[1]]).abs().sum() / wanted.sum()
    assert near < 0.1
    assert codec.magnitudes(torch.zeros_like(wave)).add(FLOOR).log().isfinite().all()


def test_latents_hear_nothing_of_later_samples(codec: Codec) -> None:
    wave = sound().requires_grad_()
    latents = codec.latents(wave, codec.start_encoding(2))  # (B, N, K E)
    frame = 5
    (gradient,) = torch.autograd.grad(latents[:, frame].square().sum(), wave)
    assert gradient[:, (frame + 1) * CODEC_HOP :].abs().max() == 0
    assert gradient[:, : (frame + 1) * CODEC_HOP].abs().max() > 0


def test_a_hop_of_sound_hears_no_frame_after_the_one_that_completes_it(codec: Codec) -> None:
    latents = torch.randn(1, HOPS, 9)
    hop, stretch = 4, slice(4 * CODEC_HOP, 5 * CODEC_HOP)
    wave = codec.synthesise(latents, codec.start_decoding(1))[:, stretch]
    for frame, hears in ((hop + CODEC_DELAY, True), (hop + CODEC_DELAY + 1, False)):
        other = latents.clone()
        other[:, frame] += 1
        assert (codec.synthesise(other, codec.start_decoding(1))[:, stretch] != wave).any() == hears


@pytest.mark.parametrize("piece", [1, 3, 5])
def test_piece_by_piece_is_the_same_as_at_once(codec: Codec, piece: int) -> None:
    wave = codec.padded(sound())  # (B, 13 hops)
    whole = codec.encode(sound())
    encoding, decoding = codec.start_encoding(2), codec.start_decoding(2)
    tokens, waves = [], []
    for samples in wave.split(piece * CODEC_HOP, 1):
        tokens.append(codec.encode_piece(samples, encoding))
        waves.append(codec.decode_piece(tokens[-1], decoding))
    assert torch.equal(torch.cat(tokens, 1), whole)
    torch.testing.assert_close(torch.cat(waves, 1), codec.decode(whole), atol=1e-5, rtol=1e-3)


def test_each_group_chooses_the_nearest_of_its_entries() -> None:
    quantiser = GroupQuantiser(3, 4, 2)
    latents = torch.randn(2, 5, 6)
    found = quantiser(latents)
    every = torch.arange(16)[None, :, None].expand(-1, -1, 3)  # (1, entries, K)
    entries = quantiser.lookup(every)[0]  # (entries, K E)
    for group in range(3):
        part = slice(2 * group, 2 * group + 2)
        distance = torch.cdist(2 * latents[..., part].tanh().flatten(0, 1), entries[:, part])
        assert torch.equal(found.tokens[..., group].flatten(), distance.argmin(1))
    torch.testing.assert_close(found.latents, quantiser.lookup(found.tokens))


def test_gradients_pass_the_rounding_unchanged() -> None:
    latents = torch.randn(1, 4, 12, requires_grad=True)
    weight = torch.randn(1, 4, 12)
    (gradient,) = torch.autograd.grad((GroupQuantiser(3, 4, 4)(latents).latents * weight).sum(), latents)
    (bounded,) = torch.autograd.grad((2 * latents.tanh() * weight).sum(), latents)
    torch.testing.assert_close(gradient, bounded)


def test_every_entry_is_within_reach() -> None:
    torch.manual_seed(0)
    tokens = GroupQuantiser(2, 4, 3)(2 * torch.randn(1, 4_000, 6)).tokens
    for group in range(2):
        assert len(tokens[..., group].unique()) == 64


def test_evaluation_leaves_the_entries_as_they_are(codec: Codec) -> None:
    before = {name: value.clone() for name, value in codec.state_dict().items()}
    codec(sound())
    assert all(torch.equal(value, before[name]) for name, value in codec.state_dict().items())


def test_silence_and_a_loud_sound_stay_finite() -> None:
    codec = Codec(CodecConfig(16, 1, 1, 3, 2, 3)).eval()
    for wave in (torch.zeros(1, 3_200), torch.full((1, 3_200), 1e3)):
        assert codec.decode(codec.encode(wave)).isfinite().all()

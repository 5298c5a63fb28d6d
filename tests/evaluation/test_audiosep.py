"""The rival's network: its paper's sizes, and a filter of the mixture that the description steers."""

from __future__ import annotations

import pytest
import torch

from hsm.evaluation.baselines.audiosep import SIZES, AudioSep, ResUNet, ResUNetConfig
from hsm.features import istft, stft

NARROW = ResUNetConfig(n_fft=64, hop=16, widths=(2, 4, 4), condition_width=8)


def test_at_the_papers_sizes_it_has_six_blocks_each_way_and_thirty_million_parameters() -> None:
    with torch.device("meta"):
        network = ResUNet(ResUNetConfig())
    assert (len(network.encoder), len(network.decoder)) == (6, 6)
    convolutions = sum(m.weight.numel() for m in network.modules() if isinstance(m, torch.nn.Conv2d))
    assert 19e6 < convolutions < 21e6, "beside 1.4 M of the transposed ones"
    assert 29e6 < sum(p.numel() for p in network.parameters()) < 31e6


@pytest.mark.parametrize("samples", [100, 16 * 4 * 8, 1_000])
def test_any_length_comes_back_as_long(samples: int) -> None:
    torch.manual_seed(0)
    network, wave = ResUNet(NARROW).eval(), torch.randn(2, samples)
    found = network(stft(wave, NARROW.n_fft, NARROW.hop), torch.randn(2, 8))
    assert istft(found, samples, NARROW.n_fft, NARROW.hop).shape == wave.shape


def test_no_bin_becomes_louder_and_silence_stays_silent() -> None:
    torch.manual_seed(0)
    network, spectrum = ResUNet(NARROW).eval(), stft(torch.randn(1, 500), NARROW.n_fft, NARROW.hop)
    found = network(spectrum, torch.randn(1, 8))
    assert (found.abs() <= spectrum.abs() + 1e-5).all()
    assert (network(torch.zeros_like(spectrum), torch.randn(1, 8)) == 0).all()


def test_the_description_and_every_parameter_take_part() -> None:
    torch.manual_seed(0)
    network, spectrum = ResUNet(NARROW), stft(torch.randn(2, 500), NARROW.n_fft, NARROW.hop)
    condition = torch.randn(2, 8, requires_grad=True)
    network(spectrum, condition).abs().square().sum().backward()
    assert condition.grad is not None
    assert (condition.grad.abs().sum(1) > 0).all()
    assert all(p.grad is not None for p in network.parameters())


def test_the_rival_gives_each_bin_a_share_and_a_turn_and_what_it_hears_depends_on_the_words() -> None:
    torch.manual_seed(0)
    network, spectrum = AudioSep(SIZES["tiny"], 12).eval(), stft(0.05 * torch.randn(2, 5_000))
    words = torch.nn.functional.normalize(torch.randn(2, 12), dim=1)
    gain = network(spectrum, words)
    assert gain.shape == spectrum.shape
    assert gain.is_complex()
    assert gain.abs().max() <= 1 + 1e-5
    assert gain.imag.abs().max() > 0.01, "the phase is turned too"
    assert not gain[..., -1].any(), "nothing in the highest bin"
    assert not torch.allclose(gain, network(spectrum, words.flip(0)), atol=1e-4)
    one = network(spectrum[:1], words[:1])
    assert torch.allclose(one, gain[:1], atol=1e-4), "what else is in the batch does not matter once it is trained"


def test_in_half_precision_the_rivals_answer_is_nearly_the_same() -> None:
    torch.manual_seed(0)
    network, spectrum = AudioSep(SIZES["tiny"], 12).eval(), stft(0.05 * torch.randn(1, 5_000))
    words = torch.nn.functional.normalize(torch.randn(1, 12), dim=1)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(spectrum, words)
    assert half.dtype == torch.complex64
    # Where real and imaginary part are both small the turn is not determined: nearly all bins, not each.
    assert ((half - network(spectrum, words)).abs() < 0.1).float().mean() > 0.95

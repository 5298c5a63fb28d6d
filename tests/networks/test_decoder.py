"""The acoustic decoder is causal, generates what its full forward says, and repeats itself with its seed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hsm.config import TINY
from hsm.features import CODEC_DELAY, CODEC_FRAMES_PER_COLUMN, PATCH_BANDS
from hsm.networks import decoder as decoder_module
from hsm.networks.decoder import AcousticDecoder, Sampling, draw, rotate

D, COLUMNS, GROUPS, ENTRIES = 32, 3, 3, 8
N = COLUMNS * CODEC_FRAMES_PER_COLUMN + CODEC_DELAY


@pytest.fixture
def decoder() -> AcousticDecoder:
    torch.manual_seed(0)
    return AcousticDecoder(TINY.decoder, TINY.codec, D).eval().requires_grad_(False)


@pytest.fixture
def local() -> Tensor:
    return torch.randn(2, COLUMNS * PATCH_BANDS, D, generator=torch.Generator().manual_seed(1))


def tokens_of(decoder: AcousticDecoder, local: Tensor, sampling: Sampling, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack(list(decoder.generate(decoder.condition(local)[:, :N], sampling, generator)), 1)


def test_every_frame_of_the_sound_and_the_end_have_a_condition(decoder: AcousticDecoder, local: Tensor) -> None:
    assert decoder.condition(local).shape == (2, N + 1, TINY.decoder.width)
    assert decoder(decoder.condition(local), torch.zeros(2, N, GROUPS, dtype=torch.long)).shape == (
        2,
        N + 1,
        GROUPS,
        ENTRIES + 1,
    )


def test_a_condition_follows_its_own_column(decoder: AcousticDecoder, local: Tensor) -> None:
    """Beyond the reach of the convolutions, three frames to each side."""
    other = local.clone()
    other[:, :PATCH_BANDS] += 1
    changed = (decoder.condition(other) != decoder.condition(local)).any(-1).any(0)
    assert changed[:CODEC_FRAMES_PER_COLUMN].all()
    assert not changed[CODEC_FRAMES_PER_COLUMN + 3 :].any()


def test_a_frame_hears_nothing_of_itself_or_of_later_frames(decoder: AcousticDecoder, local: Tensor) -> None:
    embedded: list[Tensor] = []

    def keep(module: torch.nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        embedded.append(output.requires_grad_())
        return output

    decoder.codes_in.register_forward_hook(keep)
    scores = decoder(decoder.condition(local), torch.randint(0, ENTRIES, (2, N, GROUPS)))
    frame = 7  # its input is the token of frame 6
    (gradient,) = torch.autograd.grad(scores[:, frame].square().sum(), embedded[0])
    assert gradient[:, frame + 1 :].abs().max() == 0
    assert (gradient[:, : frame + 1].abs().amax((0, 2)) > 0).all()


@pytest.mark.parametrize("context", [512, 5])
def test_generation_with_its_cache_equals_the_full_forward(
    decoder: AcousticDecoder, local: Tensor, context: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder_module, "CONTEXT", context)
    condition, state, scores = decoder.condition(local), decoder.start(2), []
    tokens = torch.randint(0, ENTRIES, (2, N, GROUPS))
    for n in range(N + 1):
        scores.append(decoder.step(condition[:, n], state))
        if n < N:
            state.last = tokens[:, n]
    torch.testing.assert_close(torch.stack(scores, 1), decoder(condition, tokens), atol=1e-5, rtol=1e-4)
    assert state.caches[0] is not None
    assert state.caches[0].keys.shape[2] == min(N + 1, context - 1)


def test_generation_in_pieces_goes_on_where_it_stopped(decoder: AcousticDecoder, local: Tensor) -> None:
    condition, sampling = decoder.condition(local)[:, :N], Sampling()
    generator, state = torch.Generator().manual_seed(5), decoder.start(2)
    pieces = [t for part in condition.split(7, 1) for t in decoder.generate(part, sampling, generator, state)]
    assert torch.equal(torch.stack(pieces, 1), tokens_of(decoder, local, sampling, 5))


def test_the_same_seed_gives_the_same_tokens_and_another_gives_others(decoder: AcousticDecoder, local: Tensor) -> None:
    sampling = Sampling(1.0, ENTRIES)
    one = tokens_of(decoder, local, sampling, 1)
    assert torch.equal(one, tokens_of(decoder, local, sampling, 1))
    assert not torch.equal(one, tokens_of(decoder, local, sampling, 2))
    assert int(one.max()) < ENTRIES, "the end is no sound"


def test_without_temperature_the_seed_does_not_matter(decoder: AcousticDecoder, local: Tensor) -> None:
    sampling = Sampling(0.0)
    assert torch.equal(tokens_of(decoder, local, sampling, 1), tokens_of(decoder, local, sampling, 2))


def test_without_temperature_the_entry_nearest_to_the_mean_is_taken() -> None:
    lattice = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    scores = torch.tensor([0.3, 0.0, 0.0, 0.4]).log()  # the first digit is 1 in 0.4 of 0.7, so is the second
    generator = torch.Generator()
    assert draw(scores, Sampling(0.0), generator, lattice) == 3
    apart = torch.tensor([0.4, 0.3, 0.3, 0.0]).log()
    assert draw(apart, Sampling(0.0), generator, lattice) == 0
    assert draw(torch.tensor([0.2, 0.35, 0.3, 0.15]).log(), Sampling(0.0), generator) == 1, "without one: the likeliest"


def test_trust_in_the_history_goes_from_none_to_all(decoder: AcousticDecoder, local: Tensor) -> None:
    condition = decoder.condition(local)[:, :N]
    alone = draw(decoder.without_history(condition)[..., :-1], Sampling(), torch.Generator(), decoder.lattice)
    assert torch.equal(tokens_of(decoder, local, Sampling(trust=0.0), 0), alone)
    all_trust = tokens_of(decoder, local, Sampling(trust=1.0), 0)
    led = decoder(decoder.condition(local), all_trust)[:, :N, :, :-1].log_softmax(-1)
    assert torch.equal(all_trust, draw(led, Sampling(), torch.Generator(), decoder.lattice))


def test_only_the_likeliest_are_drawn_and_as_often_as_they_are_likely() -> None:
    scores = torch.tensor([0.0, 2.0, 1.0, -1.0]).expand(20_000, 4)
    drawn = draw(scores, Sampling(0.5, 2), torch.Generator().manual_seed(0))
    shares = torch.bincount(drawn, minlength=4) / len(drawn)
    wanted = torch.tensor([4.0, 2.0]).softmax(0)
    torch.testing.assert_close(shares, torch.tensor([0.0, wanted[0], wanted[1], 0.0]), atol=0.02, rtol=0)


def test_generation_stops_at_the_end_where_it_may(decoder: AcousticDecoder, local: Tensor) -> None:
    condition, generator = decoder.condition(local), torch.Generator()
    decoder.table[:, -1] = 0
    decoder.codes_out.weight.zero_()
    decoder.codes_out.bias.fill_(1.0)
    decoder.table[:, -1] = 10.0  # the end is certain
    assert list(decoder.generate(condition, Sampling(), generator, may_end=True)) == []
    assert len(list(decoder.generate(condition[:, :4], Sampling(), generator))) == 4


def test_rotation_tells_only_how_far_apart_two_frames_are() -> None:
    q, k = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)
    near = (rotate(q, 9) * rotate(k, 4)).sum()
    torch.testing.assert_close((rotate(q, 105) * rotate(k, 100)).sum(), near, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(rotate(q, 3).square().sum(), q.square().sum())

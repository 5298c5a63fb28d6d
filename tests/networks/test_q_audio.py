"""Who may attend to whom in Q-Audio, proven on what comes out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hsm.config import TINY
from hsm.networks.q_audio import QAudio, attention_mask
from hsm.text import TextFeatures

D, W, P, L = 32, 32, 16, 6


@pytest.fixture
def network() -> QAudio:
    torch.manual_seed(0)
    return QAudio(TINY.q_audio, D, W).eval()


def sounds(batch: int = 2, requires_grad: bool = False) -> Tensor:
    return torch.randn(batch, P, D, generator=torch.Generator().manual_seed(1)).requires_grad_(requires_grad)


def words(batch: int = 2, requires_grad: bool = False) -> Tensor:
    return torch.randn(batch, L, W, generator=torch.Generator().manual_seed(2)).requires_grad_(requires_grad)


def whole(tokens: Tensor) -> TextFeatures:
    return TextFeatures(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))


def test_itc_keeps_query_and_text_apart(network: QAudio) -> None:
    """The shared attention under the "itc" mask is what the two branches compute on their own."""
    features, local = whole(words()), sounds()
    query = network.query.expand(2, -1, -1)
    both = network._run(query, network.text_in(features.tokens), local, attention_mask("itc", features.mask))
    assert torch.allclose(both[:, 0], network.audio(local), atol=1e-5)
    assert torch.allclose(both[:, 1:], network.text(features), atol=1e-5)


def test_the_branches_depend_on_their_own_input_alone(network: QAudio) -> None:
    local, tokens = sounds(requires_grad=True), words(requires_grad=True)
    query = network.query.expand(2, -1, -1)
    mask = attention_mask("itc", whole(tokens).mask)
    both = network._run(query, network.text_in(tokens), local, mask)
    by_audio, by_text = torch.autograd.grad(both[:, 0].square().sum(), (local, tokens), retain_graph=True)
    assert by_audio.abs().sum() > 0
    assert not by_text.any()
    by_audio, by_text = torch.autograd.grad(
        both[:, 1:].square().sum(), (local, tokens), allow_unused=True, materialize_grads=True
    )
    assert not by_audio.any()
    assert by_text.abs().sum() > 0


def test_itm_sees_both(network: QAudio) -> None:
    local, tokens = sounds(requires_grad=True), words(requires_grad=True)
    logits = network.matching(local, whole(tokens))
    assert logits.shape == (2, 2)
    by_audio, by_text = torch.autograd.grad(logits[0].sum(), (local, tokens))
    assert by_audio[0].abs().sum() > 0
    assert (by_text[0].abs().sum(-1) > 0).all(), "every word counts"
    assert not by_audio[1].any(), "the other pair of the batch does not"
    assert not by_text[1].any()


@pytest.mark.parametrize("place", range(L))
def test_itg_knows_the_sound_and_the_words_so_far_but_none_that_follow(network: QAudio, place: int) -> None:
    local, tokens = sounds(1, requires_grad=True), words(1, requires_grad=True)
    guess = network.generation(local, tokens, torch.ones(1, L, dtype=torch.bool))
    assert guess.shape == (1, L, W)
    by_audio, by_text = torch.autograd.grad(guess[0, place].sum(), (local, tokens))
    assert by_audio.abs().sum() > 0
    used = by_text[0].abs().sum(-1) > 0
    assert used.tolist() == [i <= place for i in range(L)]


def test_itg_hides_the_words_from_the_query() -> None:
    allowed = attention_mask("itg", torch.ones(1, 3, dtype=torch.bool))[0, 0]
    assert allowed.tolist() == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]


@pytest.mark.parametrize("objective", ["itc", "itm", "itg"])
def test_padding_is_never_attended_to_and_every_row_attends_to_something(objective: str) -> None:
    present = torch.tensor([[True, True, False], [True, True, True]])
    allowed = attention_mask(objective, present)  # type: ignore[arg-type]
    assert allowed.shape == (2, 1, 4, 4)
    assert not allowed[0, 0, :, 3].any()
    assert allowed.any(-1).all(), "a row without a key would be NaN"


def test_padding_leaves_the_results_unchanged(network: QAudio) -> None:
    local, tokens = sounds(), words()
    padded = torch.cat([tokens, torch.full((2, 3, W), 50.0)], 1)
    mask = torch.ones(2, L + 3, dtype=torch.bool)
    mask[:, L:] = False
    features = TextFeatures(padded, mask)
    assert torch.allclose(network.text(features)[:, :L], network.text(whole(tokens)), atol=1e-5)
    assert torch.allclose(network.matching(local, features), network.matching(local, whole(tokens)), atol=1e-5)
    guess = network.generation(local, tokens, whole(tokens).mask)
    assert torch.allclose(network.generation(local, padded, mask)[:, :L], guess, atol=1e-5)


def test_the_global_feature_takes_any_number_of_patches(network: QAudio) -> None:
    assert network.audio(torch.randn(3, 8, D)).shape == network.audio(torch.randn(3, 512, D)).shape == (3, D)
    assert torch.allclose(network.audio(sounds()[:, torch.randperm(P)]), network.audio(sounds()), atol=1e-5)

"""The counter-question: when another sound is asked for too, which one, and what that changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from hsm import HSM, Audio, SeparationOptions, model
from hsm.config import TINY
from hsm.features import STFT_BINS
from hsm.model import COMPETITOR_WEIGHT, EXCERPT_FRAMES, WindowFeatures, suppress_competitor

T, W = 150, 32
HALF = STFT_BINS // 2
ENERGY = torch.full((T, STFT_BINS), 1 / (T * STFT_BINS))


class Answering:
    """A renderer that gives each sentence (its first entry tells which) an answer of its own: low or high bins."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []  # name, frames

    def __call__(self, heard: Tensor, sentences: Tensor) -> Tensor:
        assert len(heard) == len(sentences)
        logits = torch.full((len(sentences), heard.shape[1], STFT_BINS), -4.0)
        for row, sentence in enumerate(sentences):
            name = int(sentence.argmax())
            self.asked.append((name, heard.shape[1]))
            logits[row, :, slice(0, HALF) if name == 0 else slice(HALF, None)] = 4.0
        return logits


VOCABULARY = torch.eye(3, W)  # names whose embeddings are unit vectors: 0 sounds low, 1 and 2 sound high


def ask(described: Tensor, named: Tensor, present: Tensor) -> tuple[Tensor, int, Answering]:
    renderer = Answering()
    heard = torch.zeros(1, T, TINY.mask.width)
    nothing = torch.zeros(1)
    mixture = WindowFeatures(heard, nothing, nothing, ENERGY[None], present[None])
    found, other = suppress_competitor(renderer, VOCABULARY, mixture, named, described)
    return found, int(other), renderer


def low_and_unsure() -> Tensor:
    """Log-odds of a sound that is surely low, and high with even odds."""
    described = torch.zeros(1, T, STFT_BINS)
    described[..., :HALF] = 4.0
    return described


def unit(index: int) -> Tensor:
    return torch.eye(8, W)[index : index + 1]


def test_what_another_sound_claims_is_taken_from_the_unsure_part() -> None:
    found, other, renderer = ask(low_and_unsure(), unit(5), torch.tensor([0.0, 2.0, 1.0]))
    assert other == 1
    assert torch.allclose(found[..., :HALF], torch.tensor(4.0)), "both answers say so"
    assert torch.allclose(found[..., HALF:], torch.tensor(-4 * COMPETITOR_WEIGHT)), (
        "even odds, less what the other claims"
    )
    assert [name for name, frames in renderer.asked if frames == EXCERPT_FRAMES] == [1, 2, 0], "the likeliest first"
    assert [frames for _, frames in renderer.asked][-1] == T, "the chosen one is asked about all of it"


def test_where_much_is_neither_the_other_answer_hardly_counts() -> None:
    described = low_and_unsure()
    described[..., HALF // 2 : HALF] = -4.0  # the other sound is not there either: a third one is
    found, _, _ = ask(described, unit(5), torch.tensor([0.0, 2.0, 1.0]))
    assert torch.allclose(found, described, atol=0.2)


def test_a_sound_that_stands_alone_is_not_held_against_itself_under_another_name() -> None:
    described = torch.full((1, T, STFT_BINS), 4.0)  # surely all of it, while the names claim a half each
    found, other, _ = ask(described, unit(5), torch.tensor([0.0, 2.0, 1.0]))
    assert torch.allclose(found, described, atol=0.1)
    assert other == -1


def test_what_is_named_or_like_it_is_never_held_against_the_target() -> None:
    described = low_and_unsure()
    found, other, _ = ask(described, torch.eye(3, W)[:1], torch.tensor([5.0, 1.0, 2.0]))
    assert other in (1, 2), "the likeliest name is the named sound's own"
    assert not torch.equal(found, described)
    found, other, _ = ask(described, torch.eye(3, W), torch.zeros(3))
    assert torch.equal(found, described)
    assert other == -1


def test_windows_together_are_what_each_is_alone() -> None:
    described = torch.cat([low_and_unsure(), torch.full((1, T, STFT_BINS), -4.0), 0.5 * low_and_unsure()])
    frames, tags = torch.zeros(3, T, TINY.mask.width), torch.tensor([[0.0, 2.0, 1.0], [1.0, 2.0, 0.0], [0.0, 1.0, 2.0]])
    nothing = torch.zeros(3)
    mixture = WindowFeatures(frames, nothing, nothing, ENERGY.expand(3, -1, -1), tags)
    found, others = suppress_competitor(Answering(), VOCABULARY, mixture, unit(5), described)
    for i in range(3):
        alone, other, _ = ask(described[i : i + 1], unit(5), tags[i])
        assert torch.allclose(found[i], alone[0], atol=1e-6)
        assert int(others[i]) == other


def test_nothing_is_asked_where_the_described_sound_is_not_there() -> None:
    described = torch.full((1, T, STFT_BINS), -4.0)
    found, other, renderer = ask(described, unit(5), torch.zeros(3))
    assert torch.equal(found, described)
    assert other == -1
    assert renderer.asked == []


def test_the_counter_question_serves_both_operations_alike(
    tiny_model: HSM, make_sound: Callable[..., Audio], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        model, "suppress_competitor", lambda *given: (given[-1] - 2.0, torch.ones(len(given[-1]), dtype=torch.long))
    )
    sound = make_sound(3.0)
    name = tiny_model.model.tagger.names[1]
    assert tiny_model.separate(sound, "extract the dog").competing_sounds == (name,), (
        "the visitor is told what was asked"
    )
    assert (
        tiny_model.separate(sound, "extract the dog", SeparationOptions(suppress_competitor=False)).competing_sounds
        == ()
    )

    def masks(suppress: bool) -> list[np.ndarray]:
        options = SeparationOptions(hierarchy=False, suppress_competitor=suppress)
        return [tiny_model.separate(sound, f"{verb} the dog", options).mask for verb in ("extract", "remove")]

    (extracted, removed), (alone, _) = masks(True), masks(False)
    assert (extracted < alone).all()
    assert np.allclose(extracted, 1 - removed, atol=1e-6)

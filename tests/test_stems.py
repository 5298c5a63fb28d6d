"""Several questions about one recording, and stems that add up to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hsm import HSM, Audio, HSMError, Instruction, SeparationOptions
from hsm.progress import STAGES
from hsm.stems import named_targets, separate_each, share_out

MakeSound = Callable[..., Audio]


def test_the_answers_are_those_of_single_questions(tiny_model: HSM, make_sound: MakeSound) -> None:
    mixture = make_sound(2.0)
    wishes = [("extract the dog", SeparationOptions()), ("extract the dog", SeparationOptions(hierarchy=False))]
    for found, (wish, options) in zip(separate_each(tiny_model, mixture, wishes), wishes, strict=True):
        alone = tiny_model.separate(mixture, wish, options)
        np.testing.assert_allclose(found.target.samples, alone.target.samples, atol=1e-6)
        assert found.options == options


def test_progress_never_goes_back(tiny_model: HSM, make_sound: MakeSound) -> None:
    told: list[tuple[str, float]] = []
    wishes = [(Instruction("extract", name), SeparationOptions()) for name in ("dog", "rain")]
    separate_each(tiny_model, make_sound(24.0), wishes, lambda stage, share: told.append((stage, share)))
    rendered = [share for stage, share in told if stage == "render"]
    assert rendered == sorted(rendered)
    assert rendered[-1] == 1.0
    assert list(dict.fromkeys(stage for stage, _ in told)) == list(STAGES)


@pytest.mark.parametrize(
    ("text", "targets"),
    [
        ("dog; rain; rest", ("dog", "rain")),
        ("dog;rain.", ("dog", "rain")),
        (" dog ; dog ; the rest", ("dog",)),
        ("extract the dog", ()),
        ("rest in peace music; everything else", ("rest in peace music",)),
    ],
)
def test_a_list_is_cut_at_semicolons(text: str, targets: tuple[str, ...]) -> None:
    assert named_targets(text) == targets


@pytest.mark.parametrize("text", [";", "rest;", "a; b; c; d; e; f; g"])
def test_a_list_of_no_sound_or_of_too_many_is_refused(text: str) -> None:
    with pytest.raises(HSMError, match="1 to 6"):
        named_targets(text)


def test_stems_never_claim_more_than_there_is(tiny_model: HSM, make_sound: MakeSound) -> None:
    wishes = [(Instruction("extract", name), SeparationOptions()) for name in ("dog", "rain", "bell")]
    stems = share_out(separate_each(tiny_model, make_sound(2.0, 44_100, 2), wishes))
    total = np.sum([stem.mask for stem in stems], axis=0)
    assert total.max() <= 1 + 1e-5
    for stem in stems:
        np.testing.assert_allclose(stem.target.samples + stem.residual.samples, stem.mixture.samples, atol=1e-6)

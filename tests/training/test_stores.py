"""Decoded clips and text features: computed once, the same as computed anew."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hsm.audio import load_audio
from hsm.config import TINY
from hsm.errors import HSMError
from hsm.evaluation.protocols import unseen_wordings
from hsm.features import RATE_HZ
from hsm.text import TASK_WORDS, TextEncoder, load_text_encoder
from hsm.training.data import CaptionStore, ClipStore, all_paraphrases, captions, draw_caption
from hsm.training.mixtures import texts_of


def refuse() -> TextEncoder:
    raise AssertionError("the cache should have been used")


def test_clips_are_decoded_to_16_khz_mono_within_half_a_step(store: ClipStore) -> None:
    for index, clip in enumerate(store.clips):
        direct = load_audio(clip.path).mono_16k.numpy()
        assert store.length(index) == len(direct) == round(clip.duration_s * RATE_HZ)
        assert np.abs(store.wave(index) - direct).max() < 2e-4


def test_a_stretch_of_a_clip_is_that_stretch_and_ends_with_the_clip(store: ClipStore) -> None:
    whole = store.wave(0)
    assert np.array_equal(store.wave(0, 1_000, 500), whole[1_000:1_500])
    assert np.array_equal(store.wave(0, len(whole) - 10, 500), whole[-10:]), "not a sample of the next clip"


def test_the_cache_works_where_the_sound_files_are_not(
    store: ClipStore, manifest: Path, cache: Path, tmp_path: Path
) -> None:
    shutil.copy(manifest, tmp_path / "manifest.csv")
    shutil.copytree(cache, tmp_path / "cache")
    moved = ClipStore(tmp_path / "manifest.csv", tmp_path / "cache")
    assert not moved.clips[0].path.exists()
    for index in range(len(store.clips)):
        assert np.array_equal(moved.wave(index), store.wave(index))


def test_a_changed_manifest_is_decoded_anew(store: ClipStore, manifest: Path, cache: Path, tmp_path: Path) -> None:
    lines = manifest.read_text().splitlines()
    (tmp_path / "manifest.csv").write_text("\n".join(lines[:2]) + "\n")
    shutil.copytree(cache, tmp_path / "cache")
    with pytest.raises(HSMError, match=r"dog a\.wav: there is no such file"):
        ClipStore(tmp_path / "manifest.csv", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.json"))[1:], "a broken attempt leaves no index behind"


def test_stored_text_features_are_those_of_the_encoder(text_features: CaptionStore, store: ClipStore) -> None:
    encoder = load_text_encoder(TINY.text)
    texts = [text for clip in store.clips[:3] for text in captions(clip)]
    stored, ids = text_features.features(text_features.rows(texts))
    assert stored.tokens.shape[1] == encoder.encode(texts).tokens.shape[1], "as long as the longest"
    for row, text in enumerate(texts):
        alone = encoder.encode([text])
        length = alone.tokens.shape[1]
        assert stored.mask[row].tolist() == [True] * length + [False] * (stored.mask.shape[1] - length)
        assert torch.allclose(stored.tokens[row, :length], alone.tokens[0], atol=2e-3)
        assert not stored.tokens[row, length:].any()
        embeddings = encoder.vocabulary[encoder.token_ids([text])[0][0]]
        assert torch.equal(text_features.vocabulary[ids[row, :length]], embeddings)
        assert ids[row, 0] == text_features.start_id
        torch.testing.assert_close(text_features.sentences([text]), alone.sentence(), atol=1e-3, rtol=0)
    assert torch.equal(text_features.task, torch.cat([encoder.task(word) for word in TASK_WORDS]))


def test_stored_text_features_need_no_encoder(store: ClipStore, text_features: CaptionStore, cache: Path) -> None:
    again = CaptionStore(texts_of(store.clips), refuse, "tiny", cache)
    text = [store.clips[0].caption]
    assert torch.equal(again.sentences(text), text_features.sentences(text))


def test_text_features_of_another_encoder_are_another_file(store: ClipStore, cache: Path) -> None:
    with pytest.raises(AssertionError, match="the cache should have been used"):
        CaptionStore(texts_of(store.clips), refuse, "another", cache)


def test_captions_are_drawn_from_the_clips_own_in_the_stated_shares(store: ClipStore) -> None:
    clip, rng = store.clips[0], np.random.default_rng(0)
    drawn = [draw_caption(clip, rng) for _ in range(2_000)]
    assert set(drawn) == set(captions(clip))
    assert drawn.count(clip.caption) / 2_000 == pytest.approx(0.40, abs=0.04)
    assert drawn.count("dog") / 2_000 == pytest.approx(0.30, abs=0.04)
    others = all_paraphrases()[clip.label]
    assert len(others) >= 5
    assert sum(drawn.count(text) for text in others) / 2_000 == pytest.approx(0.20, abs=0.04)
    assert "dog animal" in drawn
    assert "the sound of dog" in drawn


def test_a_class_without_paraphrases_is_asked_for_in_templates(store: ClipStore) -> None:
    clip, rng = replace(store.clips[0], classes=("theremin",)), np.random.default_rng(0)
    assert clip.label not in all_paraphrases()
    drawn = [draw_caption(clip, rng) for _ in range(500)]
    assert set(drawn) == set(captions(clip))


def test_no_wording_of_the_evaluation_is_trained_on() -> None:
    trained = [text for texts in all_paraphrases().values() for text in texts]
    assert len(set(trained)) > 1_000
    assert {text for text in trained if trained.count(text) > 1} == {"background noise"}, "else it names one class"
    assert not set(trained) & set(unseen_wordings().values())

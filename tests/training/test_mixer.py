"""Mixtures: which clips meet, at which level, and that a seed says it all."""

from __future__ import annotations

import dataclasses
from copy import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hsm.errors import HSMError
from hsm.features import RATE_HZ, WORKING_RMS
from hsm.manifest import conflict
from hsm.training.captions import wordings
from hsm.training.clip_store import ClipStore
from hsm.training.mixing import Mixer, MixingSettings, sampling_weights

PLAIN = MixingSettings(crop_s=0.64, equaliser_db=0.0, company=0.0, reverberation=0.0)


def test_clips_that_conflict_are_never_mixed_nor_asked_for_as_absent(store: ClipStore) -> None:
    mixer = Mixer(store, "train", PLAIN, seed=0)
    batch = mixer.batch(150)
    of_wording: dict[str, list[int]] = {}
    for index, clip in enumerate(store.clips):
        for text in wordings(clip):
            of_wording.setdefault(text, []).append(index)
    for (a, b), absent, texts in zip(batch.clips, batch.absent, batch.wordings, strict=True):
        assert not conflict(store.clips[a], store.clips[b])
        assert not any(conflict(store.clips[i], store.clips[j]) for i in of_wording[absent] for j in (a, b))
        assert texts[0] in wordings(store.clips[a])
        assert texts[1] in wordings(store.clips[b])
    used = {index for pair in batch.clips for index in pair}
    assert used == {i for i, clip in enumerate(store.clips) if clip.split == "train"}


@pytest.mark.parametrize("snr_db", [0.0, 12.0])
def test_levels_differ_by_what_is_asked(store: ClipStore, snr_db: float) -> None:
    settings = dataclasses.replace(PLAIN, snr_db=snr_db)
    sources = Mixer(store, "train", settings, seed=1).batch(200).sources
    power = sources.square().mean(-1)
    difference = 10 * torch.log10(power[:, 0] / power[:, 1])
    assert difference.abs().max() <= snr_db + 0.05
    if snr_db:
        assert difference.min() < -0.9 * snr_db
        assert difference.max() > 0.9 * snr_db
        assert abs(float(difference.mean())) < 0.15 * snr_db


def test_mixtures_stand_near_the_working_level(store: ClipStore) -> None:
    mixture = Mixer(store, "train", dataclasses.replace(PLAIN, gain_db=6.0), seed=2).batch(100).mixture
    level_db = 20 * torch.log10(mixture.square().mean(-1).sqrt() / WORKING_RMS)
    assert level_db.abs().max() < 6.1
    assert level_db.std() > 2


def test_a_batch_is_finite_and_as_long_as_asked(store: ClipStore) -> None:
    batch = Mixer(store, "train", MixingSettings(crop_s=2.56), seed=0).batch(12)
    assert batch.sources.shape == (12, 2, round(2.56 * RATE_HZ))
    assert torch.isfinite(batch.sources).all()
    assert (batch.sources.abs().amax(-1) > 0).all()
    assert torch.equal(batch.mixture, batch.sources[:, 0] + batch.sources[:, 1])


def test_the_same_seed_draws_the_same_batches(store: ClipStore) -> None:
    settings = MixingSettings(crop_s=0.64)
    one, two, other = (Mixer(store, "train", settings, seed) for seed in (5, 5, 6))
    for _ in range(2):
        a, b, c = one.batch(4), two.batch(4), other.batch(4)
        assert torch.equal(a.sources, b.sources)
        assert (a.wordings, a.absent, a.clips) == (b.wordings, b.absent, b.clips)
        assert not torch.equal(a.sources, c.sources)


def test_a_source_keeps_its_pitch_within_the_speed_change(store: ClipStore) -> None:
    mixer = Mixer(store, "train", dataclasses.replace(PLAIN, speed=0.1), seed=0)
    peaks = []
    for _ in range(20):
        wave = mixer.draw_source(0, RATE_HZ)  # a tone of 400 Hz
        assert np.sqrt(np.mean(wave**2)) == pytest.approx(1, abs=0.01)
        peaks.append(float(np.abs(np.fft.rfft(wave)).argmax()))  # 1 s: a bin is 1 Hz
    assert 358 < min(peaks) < 375
    assert 425 < max(peaks) < 442


def test_a_clip_shorter_than_the_crop_is_whole_and_surrounded_by_silence(store: ClipStore) -> None:
    wave = Mixer(store, "train", dataclasses.replace(PLAIN, speed=0.0), seed=0).draw_source(1, RATE_HZ)
    sounding = np.flatnonzero(wave)
    assert 0.49 * RATE_HZ < sounding[-1] - sounding[0] <= 0.5 * RATE_HZ


def test_a_focus_group_gets_its_share(store: ClipStore) -> None:
    mixer = Mixer(store, "train", MixingSettings(focus_group="music", focus_share=0.9), seed=0)
    groups = [store.clips[mixer.draw_clip()].group for _ in range(500)]
    assert 0.88 < groups.count("music") / 500 < 0.97
    mixer = Mixer(store, "train", MixingSettings(focus_group="esc50", focus_share=1.0), seed=0)
    assert {store.clips[mixer.draw_clip()].group for _ in range(50)} == {"esc50"}


def test_rare_classes_are_drawn_more_often_than_their_count_says_down_to_a_floor(
    store: ClipStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = np.array([i for i, clip in enumerate(store.clips) if clip.split == "train"])
    even = sampling_weights(store.clips, train)  # all classes lie below the floor
    np.testing.assert_allclose(even, 1 / len(train))
    monkeypatch.setattr("hsm.training.mixing.RARE", 1)
    weights = sampling_weights(store.clips, train)
    assert weights.sum() == pytest.approx(1)
    dog, siren = weights[0], weights[6]  # two dogs, one siren
    assert siren / dog == pytest.approx(2**0.5)


def test_an_equaliser_of_nothing_changes_nothing(store: ClipStore) -> None:
    waves = torch.randn(3, 1_600)
    assert torch.equal(Mixer(store, "train", PLAIN, 0).equalise(waves), waves)
    changed = Mixer(store, "train", MixingSettings(equaliser_db=4.0), 0).equalise(waves)
    ratio_db = 20 * torch.log10(torch.fft.rfft(changed).abs() / torch.fft.rfft(waves).abs())
    assert 1 < ratio_db.std() < 8
    assert (ratio_db[:, 1:] - ratio_db[:, :-1]).abs().max() < 0.2, "smooth over frequency"


def test_a_bystander_is_in_the_mixture_and_in_no_source(store: ClipStore) -> None:
    batch = Mixer(store, "train", dataclasses.replace(PLAIN, bystander=0.5), seed=0).batch(200)
    level = batch.bystander.square().mean(-1).sqrt()
    assert 0.4 < (level > 0).float().mean() < 0.6
    torch.testing.assert_close(batch.mixture - batch.sources.sum(1), batch.bystander)
    loudest = batch.sources.square().mean(-1).sqrt().amax(1)
    assert (level <= 1.01 * loudest).all()
    assert not Mixer(store, "train", PLAIN, seed=0).batch(4).bystander.any()


def test_a_room_lengthens_a_sound_and_keeps_its_beginning(store: ClipStore) -> None:
    click = torch.zeros(3, RATE_HZ)
    click[:, 1_000] = 1
    assert torch.equal(Mixer(store, "train", PLAIN, 0).reverberate(click), click)
    wet = Mixer(store, "train", dataclasses.replace(PLAIN, reverberation=1.0), 0).reverberate(click)
    assert wet[:, :1_000].abs().max() < 1e-3
    assert (wet.abs().argmax(-1) == 1_000).all()
    torch.testing.assert_close(wet.square().mean(-1), torch.ones(3), rtol=1e-3, atol=1e-3)
    early, late = (wet[:, a:b].square().sum(-1) for a, b in ((1_001, 2_000), (11_000, 12_000)))
    assert (early > 10 * late).all()
    assert (early > 0).all()


def test_a_split_without_clips_is_an_error_that_names_the_others(store: ClipStore) -> None:
    with pytest.raises(HSMError, match="no clip is of split 'test'; it has train, valid"):
        Mixer(store, "test", PLAIN, 0)


def test_clips_that_cannot_be_mixed_are_an_error_and_not_an_endless_search(store: ClipStore) -> None:
    alike = SimpleNamespace(clips=store.clips[:2], length=store.length, wave=store.wave)
    with pytest.raises(HSMError, match="found no clip to mix with 'the dog"):
        Mixer(alike, "train", PLAIN, 0).batch(1)  # type: ignore[arg-type]


def test_the_fixture_has_what_the_tests_rely_on(store: ClipStore, manifest: Path) -> None:
    assert manifest.exists()
    assert conflict(store.clips[0], store.clips[3]), "a dog and an unnamed animal"


def test_a_source_may_be_two_clips_of_the_same_words_and_never_of_others(store: ClipStore) -> None:
    """The manifest's own captions all differ, so two dogs are given the same one."""
    clips = [replace(clip, caption="dog barking") if clip.label == "dog" else clip for clip in store.clips]
    alike = copy(store)
    alike.clips = clips
    settings = dataclasses.replace(PLAIN, company=1.0, speed=0.0)
    first = next(i for i, clip in enumerate(clips) if clip.label == "dog")
    rain = next(i for i, clip in enumerate(clips) if clip.label == "rain")
    both = Mixer(alike, "train", settings, seed=0)
    alone = Mixer(alike, "train", dataclasses.replace(settings, company=0.0), seed=0)
    spectra = [np.abs(np.fft.rfft(mixer.draw_source(first, RATE_HZ))) for mixer in (alone, both)]
    assert [s[395:406].max() > 20 * s[425:436].max() for s in spectra] == [True, False], "400 Hz, then 430 Hz too"
    lone = np.abs(np.fft.rfft(both.draw_source(rain, RATE_HZ)))
    assert lone[2_095:2_106].max() > 20 * lone[2_295:2_306].max(), "no other clip has these words"

"""Mixtures: which clips meet, at which level, and that a seed says it all."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_clips

from hsm.errors import HSMError
from hsm.features import RATE_HZ, WORKING_RMS
from hsm.manifest import conflict
from hsm.training.data import ClipStore, captions
from hsm.training.mixtures import (
    MUSIC_BELOW_SPEECH,
    MUSIC_OF_SONG,
    VARIED,
    VOICE_OF_SONG,
    Mixer,
    MixingSettings,
    MixtureBatch,
    sampling_weights,
    texts_of,
)
from hsm.training.noise import CLASSES, synthesise

PLAIN = MixingSettings(crop_s=0.64, equaliser_db=0.0, same_label_mix=0.0, reverberation=0.0)


def clips_asked_for(store: ClipStore, text: str) -> list[int]:
    return [i for i, clip in enumerate(store.clips) if text in captions(clip)]


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    """Two singers and their accompaniments, tones that fall silent together, a loop too short for a bed, a talker."""
    clips = (
        ("voice one", "music;singing", "train", "", 400, 2.0, 16_000, 1),
        ("band one", "music;rock", "train", "", 800, 2.0, 16_000, 1),
        ("voice two", "singing", "train", "", 1_200, 2.0, 16_000, 1),
        ("band two", "music", "train", "", 1_600, 2.0, 16_000, 1),
        ("talk", "speech", "train", "", 2_400, 2.0, 16_000, 1),
        ("loop", "music;loop", "train", "", 3_600, 0.5, 16_000, 1),
        ("door", "door", "train", "", 5_000, 2.0, 16_000, 1),
        ("rain", "rain", "train", "", 6_000, 2.0, 16_000, 1),
    )
    folder = tmp_path_factory.mktemp("songs")
    path = write_clips(folder, clips)
    for number in ("one", "two"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join(s.replace(",made,,", f",made,{number},") if number in s else s for s in lines) + "\n")
    return ClipStore(path, folder / "cache")


def sounding_hz(wave: torch.Tensor) -> float:
    return float(torch.fft.rfft(wave).abs().argmax()) * RATE_HZ / len(wave)


def test_clips_that_conflict_are_never_mixed_nor_asked_for_as_absent(store: ClipStore) -> None:
    batch = Mixer(store, "train", replace(PLAIN, sources=(0.0, 0.5, 0.5))).batch(150)
    used = set()
    for texts, classes, absent in zip(batch.captions, batch.classes, batch.absent, strict=True):
        named = zip(texts, classes, strict=True)
        there = [next(i for i in clips_asked_for(store, t) if store.clips[i].classes == kind) for t, kind in named]
        assert len(there) in (2, 3)
        assert not any(conflict(store.clips[i], store.clips[j]) for i in there for j in there if i != j)
        assert not any(conflict(store.clips[i], store.clips[j]) for i in clips_asked_for(store, absent) for j in there)
        used |= {store.clips[i].classes for i in there}
    assert used == {clip.classes for clip in store.clips if clip.split == "train"}


def test_mixtures_have_as_many_sources_as_the_settings_say_and_are_their_sum(store: ClipStore) -> None:
    settings = replace(VARIED, crop_s=0.64, sources=(0.2, 0.4, 0.3, 0.1))
    batch = Mixer(store, "train", settings).batch(400)
    assert batch.sources.shape == (400, 4, round(0.64 * RATE_HZ))
    counts = batch.present.sum(1)
    shares = [float((counts == n).float().mean()) for n in (1, 2, 3, 4)]
    assert shares == pytest.approx([0.2, 0.4, 0.3, 0.1], abs=0.07)
    assert [len(texts) for texts in batch.captions] == [len(c) for c in batch.classes] == counts.tolist()
    assert torch.isfinite(batch.sources).all()
    assert torch.equal(batch.sources.abs().amax(-1) > 0, batch.present), "a source that is not present is silent"
    assert torch.equal(batch.mixture, batch.sources.sum(1))


def test_every_present_source_is_a_query_of_its_mixture() -> None:
    sources = torch.arange(12.0).reshape(2, 3, 2)
    present = torch.tensor([[True, False, False], [True, True, True]])
    row, texts, truth = MixtureBatch(sources, present, [["a"], ["b", "c", "d"]], [[()], [(), (), ()]], ["", ""]).queries
    assert row.tolist() == [0, 1, 1, 1]
    assert texts == ["a", "b", "c", "d"]
    assert truth.tolist() == [[0, 1], [6, 7], [8, 9], [10, 11]]


def test_all_that_is_asked_for_is_among_the_texts_that_are_encoded(songs: ClipStore) -> None:
    settings = replace(PLAIN, sources=(0.1, 0.5, 0.4), noise=0.5, songs=0.3, speech_over_music=0.3)
    batch = Mixer(songs, "train", settings).batch(300)
    asked = {text for texts in batch.captions for text in texts} | set(batch.absent)
    assert asked <= set(texts_of(songs.clips))


@pytest.mark.parametrize("snr_db", [0.0, 12.0])
def test_levels_differ_by_what_is_asked(store: ClipStore, snr_db: float) -> None:
    sources = Mixer(store, "train", replace(PLAIN, snr_db=snr_db), seed=1).batch(200).sources
    power = sources.square().mean(-1)
    difference = 10 * torch.log10(power[:, 0] / power[:, 1])
    assert difference.abs().max() <= snr_db + 0.05
    if snr_db:
        assert difference.min() < -0.9 * snr_db
        assert difference.max() > 0.9 * snr_db
        assert abs(float(difference.mean())) < 0.15 * snr_db


def test_mixtures_stand_near_the_working_level(store: ClipStore) -> None:
    mixture = Mixer(store, "train", replace(PLAIN, gain_db=6.0), seed=2).batch(100).mixture
    level_db = 20 * torch.log10(mixture.square().mean(-1).sqrt() / WORKING_RMS)
    assert level_db.abs().max() < 6.1
    assert level_db.std() > 2


def test_the_same_generator_draws_the_same_batch_whatever_was_drawn_before(store: ClipStore) -> None:
    settings = replace(VARIED, crop_s=0.64, noise=0.5)
    mixer = Mixer(store, "train", settings)
    one, other, again = (mixer.batch(6, np.random.default_rng(seed)) for seed in (5, 6, 5))
    assert torch.equal(one.sources, again.sources)
    assert one[2:] == again[2:]
    assert not torch.equal(one.mixture, other.mixture)


def test_a_source_keeps_its_pitch_within_the_speed_change(store: ClipStore) -> None:
    mixer = Mixer(store, "train", replace(PLAIN, speed=0.1))
    peaks = []
    for _ in range(20):
        wave = mixer.draw_source(0, RATE_HZ)  # a tone of 400 Hz
        assert np.sqrt(np.mean(wave**2)) == pytest.approx(1, abs=0.01)
        peaks.append(float(np.abs(np.fft.rfft(wave)).argmax()))  # 1 s: a bin is 1 Hz
    assert 358 < min(peaks) < 375
    assert 425 < max(peaks) < 442


def test_a_clip_shorter_than_the_crop_is_whole_and_surrounded_by_silence(store: ClipStore) -> None:
    wave = Mixer(store, "train", replace(PLAIN, speed=0.0)).draw_source(1, RATE_HZ)
    sounding = np.flatnonzero(wave)
    assert 0.49 * RATE_HZ < sounding[-1] - sounding[0] <= 0.5 * RATE_HZ


def test_a_focus_group_gets_its_share(store: ClipStore) -> None:
    mixer = Mixer(store, "train", MixingSettings(focus_group="music", focus_share=0.9))
    groups = [store.clips[mixer.draw_clip()].group for _ in range(500)]
    assert 0.88 < groups.count("music") / 500 < 0.97
    mixer = Mixer(store, "train", MixingSettings(focus_group="esc50", focus_share=1.0))
    assert {store.clips[mixer.draw_clip()].group for _ in range(50)} == {"esc50"}


def test_rare_classes_are_drawn_more_often_than_their_count_says_down_to_a_floor(
    store: ClipStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = [clip for clip in store.clips if clip.split == "train"]
    np.testing.assert_allclose(sampling_weights(train), 1 / len(train))  # all classes lie below the floor
    monkeypatch.setattr("hsm.training.mixtures.RARE", 1)
    weights = sampling_weights(train)
    assert weights.sum() == pytest.approx(1)
    dog, siren = weights[0], weights[6]  # two dogs, one siren
    assert siren / dog == pytest.approx(2**0.5)
    mixer = Mixer(store, "train", replace(PLAIN, focus_share=0.0))
    drawn = [mixer.draw_clip() for _ in range(4_000)]
    assert drawn.count(6) / drawn.count(0) == pytest.approx(2**0.5, abs=0.3)


def test_an_equaliser_of_nothing_changes_nothing(store: ClipStore) -> None:
    waves = torch.randn(3, 1_600)
    assert torch.equal(Mixer(store, "train", PLAIN).equalise(waves), waves)
    changed = Mixer(store, "train", MixingSettings(equaliser_db=4.0)).equalise(waves)
    ratio_db = 20 * torch.log10(torch.fft.rfft(changed).abs() / torch.fft.rfft(waves).abs())
    assert 1 < ratio_db.std() < 8
    assert (ratio_db[:, 1:] - ratio_db[:, :-1]).abs().max() < 0.2, "smooth over frequency"


def test_a_room_lengthens_a_sound_and_keeps_its_beginning(store: ClipStore) -> None:
    click = torch.zeros(3, RATE_HZ)
    click[:, 1_000] = 1
    assert torch.equal(Mixer(store, "train", PLAIN).reverberate(click), click)
    wet = Mixer(store, "train", replace(PLAIN, reverberation=1.0)).reverberate(click)
    assert wet[:, :1_000].abs().max() < 1e-3
    assert (wet.abs().argmax(-1) == 1_000).all()
    torch.testing.assert_close(wet.square().mean(-1), torch.ones(3), rtol=1e-3, atol=1e-3)
    early, late = (wet[:, a:b].square().sum(-1) for a, b in ((1_001, 2_000), (11_000, 12_000)))
    assert (early > 10 * late).all()
    assert (early > 0).all()


def test_a_split_without_clips_is_an_error_that_names_the_others(store: ClipStore) -> None:
    with pytest.raises(HSMError, match="no clip is of split 'test'; it has train, valid"):
        Mixer(store, "test", PLAIN)


def test_clips_of_one_class_alone_cannot_be_mixed(tmp_path: Path) -> None:
    clips = tuple((f"dog {i}", "dog", "train", "", 400 + i, 1.0, 16_000, 1) for i in range(3))
    mixer = Mixer(ClipStore(write_clips(tmp_path, clips), tmp_path / "cache"), "train", PLAIN)
    with pytest.raises(HSMError, match=r"found no clip to mix with 'the dog \d is heard' in 1000 tries"):
        mixer.batch(1)


def test_a_source_may_be_two_clips_of_the_same_words_and_never_of_others(store: ClipStore) -> None:
    """The manifest's own captions all differ, so two dogs are given the same one."""
    clips = [replace(clip, caption="dog barking") if clip.label == "dog" else clip for clip in store.clips]
    alike = copy(store)
    alike.clips = clips
    settings = replace(PLAIN, same_label_mix=1.0, speed=0.0)
    first = next(i for i, clip in enumerate(clips) if clip.label == "dog")
    rain = next(i for i, clip in enumerate(clips) if clip.label == "rain")
    both = Mixer(alike, "train", settings)
    alone = Mixer(alike, "train", replace(settings, same_label_mix=0.0))
    spectra = [np.abs(np.fft.rfft(mixer.draw_source(first, RATE_HZ))) for mixer in (alone, both)]
    assert [s[395:406].max() > 20 * s[425:436].max() for s in spectra] == [True, False], "400 Hz, then 430 Hz too"
    lone = np.abs(np.fft.rfft(both.draw_source(rain, RATE_HZ)))
    assert lone[2_095:2_106].max() > 20 * lone[2_295:2_306].max(), "no other clip has these words"


def band_share(wave: np.ndarray, low_hz: float, high_hz: float) -> float:
    """Share of the energy between two frequencies."""
    power = np.abs(np.fft.rfft(wave)) ** 2
    hz = np.fft.rfftfreq(len(wave), 1 / RATE_HZ)
    return float(power[(hz >= low_hz) & (hz < high_hz)].sum() / power.sum())


@pytest.mark.parametrize("seed", range(5))
def test_each_noise_sounds_as_its_name_says(seed: int) -> None:
    waves = {name: synthesise(name, 4 * RATE_HZ, np.random.default_rng(seed)) for name in CLASSES}
    for wave in waves.values():
        assert np.sqrt(np.mean(wave**2)) == pytest.approx(1, abs=1e-3)
    assert band_share(waves["white noise"], 4_000, 8_000) == pytest.approx(0.5, abs=0.2)
    assert 0.05 < band_share(waves["pink noise"], 2_000, 8_000) < band_share(waves["white noise"], 2_000, 8_000)
    assert band_share(waves["brown noise"], 0, 300) > 0.8
    assert band_share(waves["hiss"], 1_000, 8_000) > 0.9
    assert band_share(waves["wind noise"], 0, 1_500) > 0.9
    spectrum = np.abs(np.fft.rfft(waves["mains hum"]))
    lines = [i / 4 for i in np.flatnonzero(spectrum > 0.01 * spectrum.max())]
    assert any(all(line % mains_hz == 0 for line in lines) for mains_hz in (50, 60))
    assert np.abs(waves["clicks"]).max() > 8, "peaks far above the RMS"
    assert np.abs(waves["white noise"]).max() < 6


def test_a_share_of_the_mixtures_holds_one_synthesised_noise(store: ClipStore) -> None:
    batch = Mixer(store, "train", replace(PLAIN, noise=0.4)).batch(300)
    own = {clip.classes for clip in store.clips}
    noises = [[c for c in classes if c not in own] for classes in batch.classes]
    assert sum(map(bool, noises)) / 300 == pytest.approx(0.4, abs=0.08)
    assert max(map(len, noises)) == 1
    assert {c for classes in noises for c in classes} == set(CLASSES.values())
    pairs = (zip(*pair, strict=True) for pair in zip(batch.captions, batch.classes, strict=True))
    asked = {text for pair in pairs for text, kind in pair if kind not in own}
    assert {"mains hum", "hiss", "clicks", "wind noise", "white noise", "background noise"} <= asked


def test_songs_are_a_singer_over_the_accompaniment_of_the_same_recording_at_the_same_place(songs: ClipStore) -> None:
    mixer = Mixer(songs, "train", replace(PLAIN, songs=1.0, speed=0.1, snr_db=0.0))
    mixer.settings = replace(mixer.settings, crop_s=1.0)
    batch = mixer.batch(100)
    asked: set[str] = set()
    for sources, texts in zip(batch.sources, batch.captions, strict=True):
        voice_hz, band_hz = (sounding_hz(source) for source in sources)
        assert band_hz - voice_hz == pytest.approx(400 * (voice_hz / (400 if voice_hz < 600 else 1_200)), abs=3)
        asked |= set(texts)
        envelopes = [source.unfold(0, 800, 800).square().mean(1).sqrt() for source in sources]
        assert np.corrcoef(*envelopes)[0, 1] > 0.95, "both swell at the same times"
    assert set(VOICE_OF_SONG) | set(MUSIC_OF_SONG) <= asked


def test_speech_stands_over_music_that_fills_the_mixture(songs: ClipStore) -> None:
    batch = Mixer(songs, "train", replace(PLAIN, speech_over_music=1.0)).batch(100)
    for (speech, music), texts in zip(batch.classes, batch.captions, strict=True):
        assert speech == ("speech",)
        assert music in (("music", "rock"), ("music",)), "neither songs nor the short loop"
        assert texts[0] in captions(songs.clips[4])
    assert set(MUSIC_BELOW_SPEECH) <= {texts[1] for texts in batch.captions}


def test_no_other_music_comes_beside_music_that_is_asked_for_by_that_name(songs: ClipStore) -> None:
    settings = replace(PLAIN, sources=(0.0, 0.0, 1.0), songs=0.5, speech_over_music=0.5)
    for classes in Mixer(songs, "train", settings).batch(60).classes:
        assert classes[2] in (("door",), ("rain",), ("speech",), ("singing",))


def test_an_excerpt_tells_how_much_of_it_is_sound(store: ClipStore) -> None:
    mixer = Mixer(store, "train", PLAIN)
    for _ in range(30):
        wave, samples = mixer.excerpt(3.0)
        assert len(wave) == mixer.crop_samples
        assert not wave[samples:].any()
        assert samples in (mixer.crop_samples, RATE_HZ // 2)

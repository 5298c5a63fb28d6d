"""Mixtures have the levels, lengths and peaks they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hsm.errors import HSMError
from hsm.evaluation.metrics import sdr
from hsm.evaluation.mixtures import Mixture, clip_wave, ideal_ratio_mask, is_audible, mix, stranger
from hsm.evaluation.protocols import Trial, made_noises
from hsm.manifest import Clip, read_manifest


@pytest.fixture
def clips(manifest: Path) -> dict[str, Clip]:
    return {clip.path.stem: clip for clip in read_manifest(manifest)}


def pair_of(*sources: Clip, snr_db: tuple[float, ...] = (0.0,), places: tuple[float, ...] | None = None) -> Trial:
    queries = tuple(source.classes[-1] for source in sources)
    return Trial("test", sources, queries, snr_db, places or (0.0,) * len(sources))


@pytest.mark.parametrize("snr_db", [-15.0, 0.0, 6.0])
def test_the_target_stands_at_its_level_over_the_other_over_the_whole_length(
    clips: dict[str, Clip], snr_db: float
) -> None:
    mixture = mix(pair_of(clips["dog 0"], clips["rain 1"], snr_db=(snr_db,)))
    energy = np.square(mixture.sources, dtype=np.float64).sum(1)
    assert 10 * np.log10(energy[0] / energy[1]) == pytest.approx(snr_db, abs=1e-3)
    assert sdr(mixture.target, mixture.wave) == pytest.approx(snr_db, abs=0.01)


def test_the_parts_sum_to_a_mixture_that_does_not_clip(clips: dict[str, Clip]) -> None:
    mixture = mix(pair_of(clips["dog 1"], clips["rain 1"], clips["crow 1"], snr_db=(-15.0, 0.0)))
    assert np.abs(mixture.wave).max() == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_allclose(mixture.target + mixture.sum_of((1, 2)), mixture.wave, atol=1e-6)


def test_a_quiet_mixture_keeps_the_targets_own_level(clips: dict[str, Clip]) -> None:
    mixture = mix(pair_of(clips["dog 0"], clips["rain 1"], snr_db=(10.0,)))
    np.testing.assert_allclose(mixture.target, clip_wave(clips["dog 0"]), atol=1e-6)


def test_the_sum_of_the_target_alone_is_exactly_the_target(clips: dict[str, Clip]) -> None:
    mixture = mix(pair_of(clips["dog 0"], clips["rain 1"]))
    assert np.array_equal(mixture.sum_of((0,)), mixture.target)


@pytest.mark.parametrize(
    ("names", "samples"),
    [
        (("music piano", "music cello"), 80_000),
        (("dog 1", "rain 1"), 80_000),
        (("voice 0", "dog 1"), 160_000),
    ],
)
def test_mixtures_last_as_long_as_their_longest_clip_between_5_and_10_s(
    clips: dict[str, Clip], names: tuple[str, str], samples: int
) -> None:
    assert mix(pair_of(*(clips[name] for name in names))).sources.shape == (2, samples)


def test_a_short_clip_starts_where_its_place_says(clips: dict[str, Clip]) -> None:
    mixture = mix(pair_of(clips["dog 1"], clips["music piano"], places=(0.0, 0.5)))
    (sounding,) = np.nonzero(mixture.sources[1])
    assert sounding[0] == pytest.approx(16_000, abs=1)
    assert sounding[-1] == pytest.approx(64_000, abs=1)


def test_silence_is_not_audible_and_cannot_be_mixed(clips: dict[str, Clip]) -> None:
    assert not is_audible(clips["unheard"])
    assert is_audible(clips["dog 0"])
    with pytest.raises(HSMError, match=r"unheard\.wav: the 5 s used of it are silent"):
        mix(pair_of(clips["dog 0"], clips["unheard"]))


def test_a_clip_that_is_not_there_is_named(clips: dict[str, Clip]) -> None:
    with pytest.raises(HSMError, match=r"gone\.wav: there is no such file"):
        mix(pair_of(clips["dog 0"], replace(clips["rain 0"], path=Path("gone.wav"))))


def test_one_source_alone_is_its_own_mixture(clips: dict[str, Clip]) -> None:
    mixture = mix(pair_of(clips["dog 0"], snr_db=()))
    assert np.array_equal(mixture.wave, mixture.target)


def test_a_stranger_has_the_targets_length_and_level(clips: dict[str, Clip]) -> None:
    mixture = mix(pair_of(clips["dog 0"], clips["rain 1"], snr_db=(10.0,)))
    other = stranger(clips["music piano"], mixture)
    assert other.shape == mixture.wave.shape
    assert np.square(other).sum() == pytest.approx(np.square(mixture.target).sum(), rel=1e-4)


def test_the_ideal_ratio_mask_of_sounds_that_do_not_overlap_is_nearly_exact() -> None:
    times = np.arange(32_000) / 16_000
    mixture = Mixture(np.stack([np.sin(2 * np.pi * hz * times) for hz in (500, 4_000)]).astype(np.float32))
    for source in mixture.sources:
        assert sdr(source, ideal_ratio_mask(mixture, source)) > 25.0


def test_made_noises_differ_from_each_other_and_are_the_same_again() -> None:
    noises = {clip.caption: clip for clip in made_noises("valid")}
    hiss, hum = clip_wave(noises["hiss 1"]), clip_wave(noises["hum 1"])
    clip_wave.cache_clear()
    assert np.array_equal(clip_wave(noises["hiss 1"]), hiss)
    assert not np.array_equal(clip_wave(noises["hiss 2"]), hiss)
    flatness = [np.square(np.abs(np.fft.rfft(wave)))[:2_000].sum() / np.square(wave).sum() for wave in (hiss, hum)]
    assert flatness[1] > 10 * flatness[0]  # a hum lies below 200 Hz


def test_the_mixture_is_heard_at_the_models_rate() -> None:
    audio = Mixture(np.ones((2, 1_600), np.float32)).audio
    assert (audio.rate_hz, audio.channels, audio.length_samples) == (16_000, 1, 1_600)

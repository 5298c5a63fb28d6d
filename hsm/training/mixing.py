"""Mixtures drawn from single clips, by the rules of the paper. Paper: Sec. IV-A."""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hsm.errors import HSMError
from hsm.features import PATCH_COLUMNS, RATE_HZ, WORKING_RMS
from hsm.manifest import Clip, conflict
from hsm.training.captions import draw_wording
from hsm.training.clip_store import ClipStore
from hsm.training.processes import generators

RARE = 40
ROOM_S = 0.8  # length of a room's tail
BYSTANDER_DB = (-15.0, 0.0)  # its level against a source of unit RMS
TRIES = 1_000  # draws before a manifest is blamed


@dataclass(frozen=True)
class MixingSettings:
    """How mixtures are drawn.

    Args:
        crop_s: length of a mixture; a multiple of 0.16 s where patches are used.
        snr_db: the level difference is uniform in [-snr_db, snr_db]. Paper: 15.
        focus_group: this share of the clips comes from one group ("" for none).
        focus_share: see focus_group.
        company: share of the sources that are two clips of the same words at once ("two dogs"), so that a few
            clips make many sounds.
        bystander: share of the mixtures with a third, softer source that nobody asks for.
        reverberation: share of the sources that stand in a room.
        speed: largest relative change of speed (and pitch).
        equaliser_db: spread of a random smooth equaliser.
        gain_db: the mixture's level is off the working level by up to this much.
    """

    crop_s: float = 2.56
    snr_db: float = 10.0
    focus_group: str = "esc50"
    focus_share: float = 0.4
    company: float = 0.3
    bystander: float = 0.0
    reverberation: float = 0.25
    speed: float = 0.2
    equaliser_db: float = 5.0
    gain_db: float = 6.0


@dataclass(frozen=True)
class MixtureBatch:
    """Sources of B mixtures; row 0 and 1 of the second axis are a pair.

    Args:
        sources: (B, 2, S) at 16 kHz.
        bystander: (B, S), a third source that nobody asks for, or silence; the mixture is the sum of the three.
        wordings: B pairs of wordings, one for each source.
        absent: B wordings of a sound that is in neither source.
        clips: B pairs of indices into the clip list.
    """

    sources: Tensor
    bystander: Tensor
    wordings: list[tuple[str, str]]
    absent: list[str]
    clips: list[tuple[int, int]]

    @property
    def mixture(self) -> Tensor:
        """(B, S)."""
        return self.sources.sum(1) + self.bystander


def _words(clip: Clip) -> tuple[str, ...]:
    return (clip.caption, *clip.classes)


def sampling_weights(clips: list[Clip], indices: np.ndarray) -> np.ndarray:
    """Probabilities of clips: rare classes more often, by one over the square root of their count.

    Below `RARE` clips a class gains no more: names that stand for one clip or two teach nothing about
    words, and together they would be most of what is drawn.
    """
    labels = [clips[i].label for i in indices]
    counts = Counter(labels)
    weights = np.array([max(RARE, counts[label]) ** -0.5 for label in labels])
    return weights / weights.sum()


def draw_first_column(columns: int) -> int:
    """A random place in a window for a crop of some patch columns, so that short crops teach all places."""
    return int(torch.randint(0, max(0, PATCH_COLUMNS - columns) + 1, ()))


class Mixer:
    """Draws batches of mixtures from one split.

    Args:
        store: decoded clips.
        split: "train" or "valid".
        settings: how to draw.
        seed: the same seed draws the same batches; the state is saved in checkpoints.
    """

    def __init__(self, store: ClipStore, split: str, settings: MixingSettings, seed: int) -> None:
        self.store, self.settings = store, settings
        self.rng = np.random.default_rng(seed)
        everything = np.array([i for i, clip in enumerate(store.clips) if clip.split == split])
        if len(everything) == 0:
            splits = ", ".join(sorted({clip.split for clip in store.clips}))
            raise HSMError(f"manifest: no clip is of split {split!r}; it has {splits}.")
        focus = np.array([i for i in everything if store.clips[i].group == settings.focus_group], dtype=int)
        self._alike: dict[tuple[str, ...], list[int]] = defaultdict(list)  # clips that the same words describe
        for index in everything:
            self._alike[_words(store.clips[index])].append(int(index))
        self._pools = [(everything, sampling_weights(store.clips, everything))]
        if len(focus):
            self._pools.append((focus, sampling_weights(store.clips, focus)))

    @property
    def crop_samples(self) -> int:
        """Length of a mixture."""
        return round(self.settings.crop_s * RATE_HZ)

    def draw_clip(self) -> int:
        """Index of a clip."""
        focused = len(self._pools) > 1 and self.rng.random() < self.settings.focus_share
        indices, weights = self._pools[1 if focused else 0]
        return int(self.rng.choice(indices, p=weights))

    def _crop(self, index: int, samples: int) -> np.ndarray:
        """A stretch of a clip that sounds: of three random places, one in proportion to its level."""
        length = self.store.length(index)
        if length > samples:
            starts = self.rng.integers(0, length - samples + 1, size=3)
            options = [self.store.wave(index, int(start), samples) for start in starts]
            levels = np.array([np.sqrt(np.mean(o**2)) + 1e-4 for o in options])
            return options[int(self.rng.choice(3, p=levels / levels.sum()))]
        wave = np.zeros(samples, dtype=np.float32)
        start = int(self.rng.integers(0, samples - length + 1))
        wave[start : start + length] = self.store.wave(index)
        return wave

    def draw_source(self, index: int, samples: int) -> np.ndarray:
        """A crop of a clip, sometimes with another clip of the same words, unit RMS: (S,)."""
        wave = self._at_another_speed(index, samples)
        alike = [i for i in self._alike[_words(self.store.clips[index])] if i != index]
        if alike and self.rng.random() < self.settings.company:
            other = self._at_another_speed(int(self.rng.choice(alike)), samples)
            wave = wave + other * np.float32(10 ** (self.rng.uniform(-12, 0) / 20))
        return (wave / (np.sqrt(np.mean(wave**2)) + 1e-6)).astype(np.float32)

    def _at_another_speed(self, index: int, samples: int) -> np.ndarray:
        """A crop of a clip at another speed, unit RMS: (S,)."""
        factor = 1.0 + self.settings.speed * (2 * self.rng.random() - 1)
        wave = self._crop(index, int(samples * factor))
        position = np.arange(samples, dtype=np.float32) * ((len(wave) - 1) / (samples - 1))
        whole = position.astype(np.int64).clip(0, len(wave) - 2)
        part = position - whole
        wave = wave[whole] * (1 - part) + wave[whole + 1] * part
        return (wave / (np.sqrt(np.mean(wave**2)) + 1e-6)).astype(np.float32)

    def equalise(self, waves: Tensor) -> Tensor:
        """A random smooth equaliser on each of (N, S), which come back at unit RMS."""
        if self.settings.equaliser_db == 0:
            return waves
        spectrum = torch.fft.rfft(waves)  # (N, K)
        knots = torch.from_numpy(self.rng.standard_normal((waves.shape[0], 1, 8)).astype(np.float32))
        curve_db = torch.nn.functional.interpolate(
            knots * self.settings.equaliser_db, spectrum.shape[-1], mode="linear", align_corners=True
        )[:, 0]  # (N, K)
        shaped = torch.fft.irfft(spectrum * 10 ** (curve_db / 20), n=waves.shape[-1])
        return shaped / (shaped.square().mean(-1, keepdim=True).sqrt() + 1e-6)

    def reverberate(self, waves: Tensor) -> Tensor:
        """Put some of (N, S) into rooms of their own: a direct sound and a decaying tail of noise; unit RMS.

        The room is what the source brings along, so it belongs to what is asked for.
        """
        chosen = np.flatnonzero(self.rng.random(len(waves)) < self.settings.reverberation)
        if len(chosen) == 0:
            return waves
        length = waves.shape[-1]
        time_s = np.arange(min(length, round(ROOM_S * RATE_HZ))) / RATE_HZ
        decay_s = self.rng.uniform(0.1, 0.8, (len(chosen), 1))  # to -60 dB
        tail = self.rng.standard_normal((len(chosen), len(time_s))) * 10 ** (-3 * time_s / decay_s)
        tail *= 10 ** (-self.rng.uniform(0, 12, (len(chosen), 1)) / 20) / np.linalg.norm(tail, axis=1, keepdims=True)
        tail[:, 0] = 1.0
        size = length + len(time_s)
        rooms = torch.fft.rfft(torch.from_numpy(tail.astype(np.float32)), n=size)
        wet = torch.fft.irfft(torch.fft.rfft(waves[chosen], n=size) * rooms, n=size)[:, :length]
        out = waves.clone()
        out[chosen] = wet / (wet.square().mean(-1, keepdim=True).sqrt() + 1e-6)
        return out

    def pair(self) -> tuple[int, int]:
        """Two clips that may be mixed."""
        first = self.draw_clip()
        return first, self._beside((first,))

    def _beside(self, taken: tuple[int, ...]) -> int:
        """A clip that may be mixed with all of these."""
        clips = self.store.clips
        for _ in range(TRIES):
            other = self.draw_clip()
            if not any(conflict(clips[other], clips[i]) for i in taken):
                return other
        raise HSMError(
            f"manifest: found no clip to mix with {' and '.join(repr(clips[i].caption) for i in taken)} in "
            f"{TRIES} tries; wanted clips of at least three classes that do not include one another."
        )

    def split(self, size: int) -> list[Mixer]:
        """A mixer with a generator of its own for each of this process's `size` examples."""
        mixers = [copy.copy(self) for _ in range(size)]
        for mixer, rng in zip(mixers, generators(self.rng, size), strict=True):
            mixer.rng = rng
        return mixers

    def batch(self, size: int) -> MixtureBatch:
        """Draw a batch of `size` mixtures."""
        drawn = [mixer.mixture() for mixer in self.split(size)]
        return MixtureBatch(
            sources=torch.cat([one.sources for one in drawn]),
            bystander=torch.cat([one.bystander for one in drawn]),
            wordings=[wording for one in drawn for wording in one.wordings],
            absent=[wording for one in drawn for wording in one.absent],
            clips=[pair for one in drawn for pair in one.clips],
        )

    def mixture(self) -> MixtureBatch:
        """Draw one mixture, a batch of its own."""
        pair = self.pair()
        third = (self._beside(pair),) if self.rng.random() < self.settings.bystander else ()
        drawn = [self.draw_source(i, self.crop_samples) for i in (*pair, *third)]
        waves = self.reverberate(self.equalise(torch.from_numpy(np.stack(drawn))))  # (2 or 3, S)
        waves[1] *= self._amplitude(-self.settings.snr_db, self.settings.snr_db)
        waves[2:] *= self._amplitude(*BYSTANDER_DB)
        rms = waves.sum(0).square().mean().sqrt()
        waves *= self._amplitude(-self.settings.gain_db, self.settings.gain_db) * WORKING_RMS / (rms + 1e-6)
        first, second = (self.store.clips[i] for i in pair)
        absent = self.store.clips[self._beside((*pair, *third))]
        return MixtureBatch(
            sources=waves[None, :2],
            bystander=waves[2:].sum(0, keepdim=True),
            wordings=[(draw_wording(first, self.rng), draw_wording(second, self.rng))],
            absent=[draw_wording(absent, self.rng)],
            clips=[pair],
        )

    def _amplitude(self, lowest_db: float, highest_db: float) -> float:
        return float(10 ** (self.rng.uniform(lowest_db, highest_db) / 20))

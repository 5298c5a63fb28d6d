"""Mixtures drawn from single clips, by the rules of the paper and beyond. Paper: Sec. IV-A."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hsm.errors import HSMError
from hsm.features import PATCH_COLUMNS, RATE_HZ, WORKING_RMS, working_gain
from hsm.manifest import Clip, conflict
from hsm.training.data import ClipStore, captions, draw_caption
from hsm.training.noise import GROUP, NOISES, synthesise

RARE = 40
ROOM_S = 0.8  # length of a room's tail
TRIES = 1_000  # draws before a manifest is blamed
VOICE_OF_SONG = ("vocals", "the vocals", "lead vocals", "the singer", "the singing", "voice", "singing voice")
MUSIC_OF_SONG = ("instrumental", "accompaniment", "backing track", "the instruments", "karaoke track", "music")
MUSIC_BELOW_SPEECH = ("music", "background music", "the music")


@dataclass(frozen=True)
class MixingSettings:
    """How mixtures are drawn; `Mixer` with these defaults makes plain pairs.

    Args:
        crop_s: length of a mixture; a multiple of 0.16 s where patches are used.
        sources: probabilities of 1, 2, 3, ... sources.
        snr_db: levels relative to the first source are uniform in [-snr_db, snr_db]. Paper: 15.
        noise: share of the mixtures with a place for it in which one source is a synthesised noise.
        speech_over_music: share of those of several sources that are speech over music as long as the mixture.
        songs: share of them that are a singer over an accompaniment, of the same recording where there is one.
        focus_group: this share of the clips comes from one group ("" for none).
        focus_share: see focus_group.
        same_label_mix: share of the sources that are two clips of the same words at once ("two dogs"), so that a
            few clips make many sounds.
        reverberation: share of the sources that stand in a room.
        speed: largest relative change of speed (and pitch).
        equaliser_db: spread of a random smooth equaliser.
        gain_db: the mixture's level is off the working level by up to this much.
    """

    crop_s: float = 2.56
    sources: tuple[float, ...] = (0.0, 1.0)
    snr_db: float = 10.0
    noise: float = 0.0
    speech_over_music: float = 0.0
    songs: float = 0.0
    focus_group: str = "esc50"
    focus_share: float = 0.4
    same_label_mix: float = 0.3
    reverberation: float = 0.25
    speed: float = 0.2
    equaliser_db: float = 5.0
    gain_db: float = 6.0


# What users bring: a sound alone, several at once, noise, speech over music, songs.
VARIED = MixingSettings(sources=(0.05, 0.7, 0.2, 0.05), noise=0.1, speech_over_music=0.05, songs=0.05)


class MixtureBatch(NamedTuple):
    """B mixtures of up to K sources, which add up to them.

    Args:
        sources: (B, K, S) at 16 kHz; silence behind a mixture's last.
        present: (B, K) bool.
        captions: of each mixture's present sources.
        classes: the same.
        absent: B captions of a sound that is in none of its sources.
    """

    sources: Tensor
    present: Tensor
    captions: list[list[str]]
    classes: list[list[tuple[str, ...]]]
    absent: list[str]

    @property
    def mixture(self) -> Tensor:
        """(B, S)."""
        return self.sources.sum(1)

    @property
    def queries(self) -> tuple[Tensor, list[str], Tensor]:
        """One for each present source: its mixture (Q,), its caption, its wave (Q, S)."""
        return self.present.nonzero()[:, 0], [text for row in self.captions for text in row], self.sources[self.present]


class _Part(NamedTuple):
    """A source to be: number of its clip, the clip as others may conflict with it, what it is asked for by."""

    number: int
    clip: Clip
    caption: str


def texts_of(clips: list[Clip]) -> list[str]:
    """All that mixtures of these clips may be asked for, and the clips' class names."""
    texts = {text for clip in [*clips, *NOISES] for text in (*captions(clip), *clip.classes)}
    return sorted(texts.union(VOICE_OF_SONG, MUSIC_OF_SONG, MUSIC_BELOW_SPEECH))


def draw_first_column(columns: int) -> int:
    """A random place in a window for a crop of some patch columns, so that short crops teach all places."""
    return int(torch.randint(0, max(0, PATCH_COLUMNS - columns) + 1, ()))


def sampling_weights(clips: list[Clip]) -> np.ndarray:
    """Probabilities of clips: rare classes more often, by one over the square root of their count.

    Below `RARE` clips a class gains no more: names that stand for one clip or two teach nothing about
    words, and together they would be most of what is drawn.
    """
    counts = Counter(clip.label for clip in clips)
    weights = np.array([max(RARE, counts[clip.label]) ** -0.5 for clip in clips])
    return weights / weights.sum()


def _unit(wave: np.ndarray) -> np.ndarray:
    return (wave / (np.sqrt(np.mean(wave**2)) + 1e-6)).astype(np.float32)


class _Draws:
    """Some clips, by their `sampling_weights`."""

    def __init__(self, store: ClipStore, indices: list[int]) -> None:
        self.indices = np.array(indices)
        self._limits = np.cumsum(sampling_weights([store.clips[i] for i in indices]))

    def draw(self, rng: np.random.Generator) -> int:
        place = np.searchsorted(self._limits, rng.random() * self._limits[-1], side="right")
        return int(self.indices[place])


class Mixer:
    """Draws mixtures from one split; all that it draws comes from `rng`."""

    def __init__(self, store: ClipStore, split: str, settings: MixingSettings, seed: int = 0) -> None:
        self.store, self.settings = store, settings
        self.rng = np.random.default_rng(seed)
        self.clips = [*store.clips, *NOISES]
        indices = [i for i, clip in enumerate(store.clips) if clip.split == split]
        if not indices:
            splits = ", ".join(sorted({clip.split for clip in store.clips}))
            raise HSMError(f"manifest: no clip is of split {split!r}; it has {splits}.")
        self._alike: dict[tuple[str, ...], list[int]] = defaultdict(list)  # clips that the same words describe
        self._recordings: dict[tuple[str, str], list[int]] = defaultdict(list)
        kinds: dict[str, list[int]] = defaultdict(list)
        for i in indices:
            clip = store.clips[i]
            self._alike[clip.caption, *clip.classes].append(i)
            kinds["all"].append(i)
            if clip.group == settings.focus_group:
                kinds["focus"].append(i)
            if {"singing", "song"}.intersection(clip.classes) == {"singing"}:
                kinds["voice"].append(i)
            elif "music" in clip.classes and not {"speech", "song"}.intersection(clip.classes):
                if store.length(i) >= self.crop_samples:
                    kinds["music"].append(i)
                    self._recordings[clip.source, clip.recording].append(i)
            elif "speech" in clip.classes:
                kinds["speech"].append(i)
        self._draws = {kind: _Draws(store, found) for kind, found in kinds.items()}

    @property
    def crop_samples(self) -> int:
        """Length of a mixture."""
        return round(self.settings.crop_s * RATE_HZ)

    def draw_clip(self) -> int:
        """Index of a clip."""
        focused = self.rng.random() < self.settings.focus_share and "focus" in self._draws
        return self._draws["focus" if focused else "all"].draw(self.rng)

    def _part(self, index: int, texts: tuple[str, ...] = (), role: str = "") -> _Part:
        """A source, asked for by its role's texts as often as by the clip's, where it has a role."""
        clip = replace(self.clips[index], classes=(role,)) if role else self.clips[index]
        if texts and self.rng.random() < 0.5:
            return _Part(index, clip, str(self.rng.choice(texts)))
        return _Part(index, clip, draw_caption(self.clips[index], self.rng))

    def _beside(self, parts: list[_Part], noise: bool = False) -> _Part:
        """A clip, or a noise, that may be mixed with these."""
        for _ in range(TRIES):
            index = len(self.store.clips) + int(self.rng.integers(len(NOISES))) if noise else self.draw_clip()
            if not any(conflict(self.clips[index], part.clip) for part in parts):
                return self._part(index)
        raise HSMError(
            f"manifest: found no clip to mix with {' and '.join(repr(part.clip.caption) for part in parts)} in "
            f"{TRIES} tries; wanted clips of at least three classes that do not include one another."
        )

    def _song(self) -> list[_Part]:
        voice = self._draws["voice"].draw(self.rng)
        clip = self.clips[voice]
        true = self._recordings[clip.source, clip.recording] if clip.recording else []
        music = int(self.rng.choice(true)) if true else self._draws["music"].draw(self.rng)
        return [self._part(voice, VOICE_OF_SONG, "singing"), self._part(music, MUSIC_OF_SONG, "music")]

    def _speech_over_music(self) -> list[_Part]:
        speech, music = (self._draws[kind].draw(self.rng) for kind in ("speech", "music"))
        return [self._part(speech), self._part(music, MUSIC_BELOW_SPEECH, "music")]

    def _parts(self) -> list[_Part]:
        """The sources of a mixture."""
        settings, scene = self.settings, self.rng.random()
        count = 1 + int(self.rng.choice(len(settings.sources), p=settings.sources))
        if count > 1 and scene < settings.songs and {"voice", "music"} <= self._draws.keys():
            parts = self._song()
        elif count > 1 and scene > 1 - settings.speech_over_music and {"speech", "music"} <= self._draws.keys():
            parts = self._speech_over_music()
        else:
            parts = [self._part(self.draw_clip())]
        if len(parts) < count and self.rng.random() < settings.noise:
            parts.append(self._beside(parts, noise=True))
        while len(parts) < count:
            parts.append(self._beside(parts))
        return parts

    def _crop(self, index: int, samples: int, place: float | None) -> np.ndarray:
        """A stretch of a clip that sounds: of three random places, one in proportion to its level."""
        length = self.store.length(index)
        if length > samples:
            if place is not None:
                return self.store.wave(index, int(place * (length - samples)), samples)
            starts = self.rng.integers(0, length - samples + 1, size=3)
            options = [self.store.wave(index, int(start), samples) for start in starts]
            levels = np.array([np.sqrt(np.mean(o**2)) + 1e-4 for o in options])
            return options[int(self.rng.choice(3, p=levels / levels.sum()))]
        wave = np.zeros(samples, dtype=np.float32)
        start = int(self.rng.integers(0, samples - length + 1))
        wave[start : start + length] = self.store.wave(index)
        return wave

    def _at_another_speed(self, index: int, samples: int, place: float | None = None, speed: float = 0.0) -> np.ndarray:
        """A crop of a clip at another speed, unit RMS: (S,)."""
        speed = speed or 1.0 + self.settings.speed * self.rng.uniform(-1, 1)
        wave = self._crop(index, int(samples * speed), place)
        position = np.linspace(0, len(wave) - 1, samples)
        return _unit(np.interp(position, np.arange(len(wave)), wave))

    def draw_source(self, index: int, samples: int) -> np.ndarray:
        """A crop of a clip, sometimes with another clip of the same words, or a noise; unit RMS: (S,)."""
        clip = self.clips[index]
        if clip.group == GROUP:
            return synthesise(clip.caption, samples, self.rng)
        wave = self._at_another_speed(index, samples)
        alike = [i for i in self._alike[clip.caption, *clip.classes] if i != index]
        if alike and self.rng.random() < self.settings.same_label_mix:
            other = self._at_another_speed(int(self.rng.choice(alike)), samples)
            wave = _unit(wave + other * np.float32(self._amplitude(-12, 0)))
        return wave

    def _waves(self, parts: list[_Part]) -> Tensor:
        """(K, S) at unit RMS; singer and accompaniment of one recording begin at the same place of it."""
        waves, (first, *others) = [], parts
        if others and first.clip.recording and first.clip.recording == others[0].clip.recording:
            place, speed = self.rng.random(), 1.0 + self.settings.speed * self.rng.uniform(-1, 1)
            waves = [self._at_another_speed(part.number, self.crop_samples, place, speed) for part in parts[:2]]
        waves += [self.draw_source(part.number, self.crop_samples) for part in parts[len(waves) :]]
        return self.reverberate(self.equalise(torch.from_numpy(np.stack(waves))))

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

    def excerpt(self, level_db: float) -> tuple[Tensor, int]:
        """A stretch of one clip (S,), and how many of its samples are the clip's.

        At the level that it has when the whole clip stands within `level_db` of the working level.
        """
        whole = torch.from_numpy(self.store.wave(self.draw_clip()))
        whole = whole * working_gain(whole) * self._amplitude(-level_db, level_db)
        crop = whole[int(self.rng.integers(0, max(0, len(whole) - self.crop_samples) + 1)) :][: self.crop_samples]
        return torch.nn.functional.pad(crop, (0, self.crop_samples - len(crop))), len(crop)

    def batch(self, size: int, rng: np.random.Generator | None = None) -> MixtureBatch:
        """Draw `size` mixtures, from `rng` where it is given."""
        self.rng = rng or self.rng
        drawn = [self._mixture() for _ in range(size)]
        sources = torch.zeros(size, max(len(waves) for waves, _, _ in drawn), self.crop_samples)
        present = torch.zeros(sources.shape[:2], dtype=torch.bool)
        for i, (waves, _, _) in enumerate(drawn):
            sources[i, : len(waves)], present[i, : len(waves)] = waves, True
        return MixtureBatch(
            sources,
            present,
            [[part.caption for part in parts] for _, parts, _ in drawn],
            [[self.clips[part.number].classes for part in parts] for _, parts, _ in drawn],
            [absent for _, _, absent in drawn],
        )

    def _mixture(self) -> tuple[Tensor, list[_Part], str]:
        """Sources (K, S) at their levels, what they are, and what is asked for in vain."""
        parts = self._parts()
        waves = self._waves(parts)
        for wave in waves[1:]:
            wave *= self._amplitude(-self.settings.snr_db, self.settings.snr_db)
        rms = waves.sum(0).square().mean().sqrt()
        waves *= self._amplitude(-self.settings.gain_db, self.settings.gain_db) * WORKING_RMS / (rms + 1e-6)
        return waves, parts, self._beside(parts).caption

    def _amplitude(self, lowest_db: float, highest_db: float) -> float:
        return float(10 ** (self.rng.uniform(lowest_db, highest_db) / 20))

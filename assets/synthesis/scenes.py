"""The eight scenes: which sources sound, when, where, how loud, and what the visitor is shown to type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from synthesis import creatures, machines, nature, tools
from synthesis.common import Wave, place, ramp, reverberate, samples

Rng = np.random.Generator


@dataclass(frozen=True)
class Source:
    """One sound of a scene.

    Args:
        name: part of the stem's file name.
        caption: what people call it.
        fitting: AudioSet classes of which an independent tagger must give one among its five best.
        level_db: level while it sounds, relative to the other sources.
        render: (generator, length in s) to (S,) or (2, S) at 44.1 kHz.
    """

    name: str
    caption: str
    fitting: tuple[str, ...]
    level_db: float
    render: Callable[[Rng, float], Wave]


@dataclass(frozen=True)
class Scene:
    """A mixture and its instruction.

    Args:
        name: file name of the mixture.
        title: headline for the page.
        instruction: the sentence shown to the visitor.
        operation: what that sentence asks for, extract or remove.
        described: which source it names.
        duration_s: length of the mixture.
        rate_hz: 16,000 or 44,100.
        channels: 1 or 2.
        sources: what sounds.
    """

    name: str
    title: str
    instruction: str
    operation: str
    described: int
    duration_s: float
    rate_hz: int
    channels: int
    sources: tuple[Source, ...]


def _fit(wave: Wave, duration_s: float, start_s: float = 0.0) -> Wave:
    """Put a sound of any length into a track of the scene's length."""
    track = np.zeros((*wave.shape[:-1], samples(duration_s)))
    first = samples(start_s)
    piece = wave[..., : track.shape[-1] - first]
    track[..., first : first + piece.shape[-1]] = piece
    return ramp(track, 0.0, 0.3)


def _dog(rng: Rng, duration_s: float) -> Wave:
    barks = creatures.dog(rng, duration_s, [1.1, 4.3])
    return reverberate(place(barks, 0.55), rng, 0.7, 0.22, reflections=5)


def _woman(rng: Rng, duration_s: float) -> Wave:
    text = "The ferry to the island leaves at half past nine. Please have your tickets ready, and mind the step."
    voice = tools.speech(text, "slt", stretch=1.12, pitch_hz=185)
    return reverberate(place(_fit(voice, duration_s, 0.5), -0.3), rng, 0.45, 0.25)


def _piano(rng: Rng, duration_s: float) -> Wave:
    left = [(0, 48), (2, 45), (4, 41), (6, 43), (8, 48), (10, 45), (12, 41), (14, 43)]
    tune = [72, 76, 79, 76, 69, 72, 76, 72, 65, 69, 72, 77, 74, 71, 67, 74, 76, 79, 84, 79, 72, 76, 81, 76]
    notes: list[tools.Note] = [(start, 2.0, pitch, 62) for start, pitch in left]
    notes += [(start, 2.0, pitch + 12, 55) for start, pitch in left]
    notes += [(0.5 * step, 0.9, pitch, 66 + 8 * (step % 4 == 0)) for step, pitch in enumerate(tune)]
    return _fit(tools.music(rng, notes, 0, 88), duration_s)


def _siren(rng: Rng, duration_s: float) -> Wave:
    return reverberate(machines.siren(rng, duration_s, 4.6), rng, 1.4, 0.3, reflections=4, predelay_s=0.06)


def _engine(rng: Rng, duration_s: float) -> Wave:
    revs = [(0.0, 850.0), (0.35, 845.0), (0.5, 920.0), (0.7, 860.0), (1.0, 850.0)]
    return reverberate(machines.engine(rng, duration_s, revs), rng, 0.5, 0.2)


def _bells(rng: Rng, duration_s: float) -> Wave:
    strokes = [(0.8 + 1.5 * number, 392.0 if number % 2 else 440.0) for number in range(5)]
    return reverberate(machines.church_bells(rng, duration_s, strokes), rng, 2.0, 0.4, predelay_s=0.05)


def _birds(rng: Rng, duration_s: float) -> Wave:
    phrases = [
        ("warbler", 0.8, 1.0),
        ("tit", 2.4, 0.5),
        ("warbler", 4.6, 0.9),
        ("trill", 6.0, 0.6),
        ("sparrow", 7.0, 0.6),
    ]
    return reverberate(creatures.birds(rng, duration_s, phrases), rng, 0.9, 0.2, reflections=4)


def _guitar(rng: Rng, duration_s: float) -> Wave:
    chords = [
        (40, 47, 52, 55, 59, 64),
        (45, 52, 57, 60, 64, 69),
        (43, 50, 55, 59, 62, 67),
        (38, 45, 50, 57, 62, 66),
    ]
    picking = (0, 3, 4, 5, 4, 3, 2, 4)
    notes: list[tools.Note] = []
    for bar, chord in enumerate(chords + chords[:1]):
        for step, string in enumerate(picking):
            notes.append((4 * bar + 0.5 * step, 1.8, chord[string], 84 if step == 0 else 70))
        for string, pitch in enumerate(chord[1:]):
            notes.append((4 * bar + 0.02 * string, 3.5, pitch, 62))
    return reverberate(_fit(tools.music(rng, notes, 25, 108), duration_s), rng, 0.5, 0.12)


def _fire(rng: Rng, duration_s: float) -> Wave:
    return place(nature.fire(rng, duration_s), -0.35)


def _crickets(rng: Rng, duration_s: float) -> Wave:
    return reverberate(place(creatures.crickets(rng, duration_s), 0.5), rng, 0.3, 0.1)


def _clock(rng: Rng, duration_s: float) -> Wave:
    return reverberate(machines.clock(rng, duration_s), rng, 0.35, 0.6)


def _man(rng: Rng, duration_s: float) -> Wave:
    text = "Take the second street on the left. Then walk down the hill, until you see the old lighthouse."
    voice = tools.speech(text, "rms", stretch=1.08)
    return reverberate(_fit(voice, duration_s, 1.6), rng, 0.4, 0.25)


def _baby(rng: Rng, duration_s: float) -> Wave:
    return reverberate(creatures.baby(rng, duration_s, [(1.2, 3), (6.2, 2)]), rng, 0.3, 0.1, reflections=3)


def _waves(rng: Rng, duration_s: float) -> Wave:
    return nature.waves(rng, duration_s)


def _rain(rng: Rng, duration_s: float) -> Wave:
    return nature.rain(rng, duration_s)


def _wind(rng: Rng, duration_s: float) -> Wave:
    return nature.wind(rng, duration_s)


def _stream(rng: Rng, duration_s: float) -> Wave:
    return nature.stream(rng, duration_s)


_SPEECH = ("Speech", "Narration, monologue", "Conversation")
SCENES: tuple[Scene, ...] = (
    Scene(
        "rain_dog",
        "Dog in the rain",
        "remove the dog barking",
        "remove",
        1,
        7.0,
        44_100,
        2,
        (
            Source("rain", "rain", ("Rain", "Raindrop", "Rain on surface"), 0.0, _rain),
            Source("dog", "dog barking", ("Dog", "Bark", "Bow-wow", "Yip"), 6.0, _dog),
        ),
    ),
    Scene(
        "speech_piano",
        "Speech over a piano",
        "extract the piano",
        "extract",
        1,
        7.5,
        44_100,
        2,
        (
            Source("speech", "woman speaking", _SPEECH, 1.0, _woman),
            Source("piano", "piano", ("Piano",), 0.0, _piano),
        ),
    ),
    Scene(
        "siren_engine",
        "Siren passing a lorry",
        "get rid of the siren",
        "remove",
        0,
        9.0,
        16_000,
        1,
        (
            Source(
                "siren",
                "siren",
                ("Siren", "Emergency vehicle", "Police car (siren)", "Ambulance (siren)"),
                2.0,
                _siren,
            ),
            Source(
                "engine",
                "engine idling",
                ("Engine", "Idling", "Medium engine (mid frequency)"),
                0.0,
                _engine,
            ),
        ),
    ),
    Scene(
        "bells_wind",
        "Church bells in the wind",
        "keep only the church bells",
        "extract",
        0,
        9.0,
        16_000,
        1,
        (
            Source("bells", "church bells", ("Church bell", "Bell"), 2.0, _bells),
            Source("wind", "wind", ("Wind", "Wind noise (microphone)"), 0.0, _wind),
        ),
    ),
    Scene(
        "birds_stream",
        "Birds by a brook",
        "isolate the birds singing",
        "extract",
        0,
        8.0,
        16_000,
        1,
        (
            Source(
                "birds",
                "birds singing",
                ("Bird", "Bird vocalization, bird call, bird song", "Chirp, tweet"),
                2.0,
                _birds,
            ),
            Source("stream", "stream of water", ("Stream", "Gurgling", "Trickle, dribble"), 0.0, _stream),
        ),
    ),
    Scene(
        "campfire",
        "Guitar at the campfire",
        "I want to hear just the guitar",
        "extract",
        0,
        8.0,
        16_000,
        1,
        (
            Source(
                "guitar",
                "acoustic guitar",
                ("Guitar", "Acoustic guitar", "Plucked string instrument"),
                2.0,
                _guitar,
            ),
            Source("fire", "crackling fire", ("Fire", "Crackle"), 0.0, _fire),
            Source("crickets", "crickets", ("Cricket", "Insect"), -5.0, _crickets),
        ),
    ),
    Scene(
        "clock_speech",
        "Clock in the study",
        "filter out the clock ticking",
        "remove",
        0,
        9.0,
        16_000,
        1,
        (
            Source("clock", "clock ticking", ("Clock", "Tick", "Tick-tock"), 0.0, _clock),
            Source("speech", "man speaking", _SPEECH, 3.0, _man),
        ),
    ),
    Scene(
        "waves_baby",
        "Baby at the seaside",
        "take away the crying baby",
        "remove",
        1,
        9.5,
        16_000,
        1,
        (
            Source("waves", "sea waves", ("Ocean", "Waves, surf"), 0.0, _waves),
            Source("baby", "crying baby", ("Baby cry, infant cry", "Crying, sobbing"), 1.0, _baby),
        ),
    ),
)

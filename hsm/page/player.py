"""What the page's player draws: levels of its tracks as bytes, the attention, and where its axes have their marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import matplotlib
import numpy as np

from hsm.events import Event
from hsm.features import MEL_BANDS, PATCH_BANDS, working_gain
from hsm.page.figures import (
    COLUMN_S,
    LEVEL_STEPS,
    RANGE_DB,
    SOUND_MAP,
    attention_alt,
    band_hz,
    band_of,
    heard_columns,
    mel_db,
    track_names,
)
from hsm.records import Audio, Separation

TICKS_HZ = (500, 1_000, 2_000, 4_000, 8_000)  # lower ones would lie on each other in a row this flat


@dataclass(frozen=True, eq=False)
class Track:
    """One row of the player; the mixture plays several files at once, since it is their sum."""

    name: str
    sound: Audio
    plays: tuple[int, ...]  # numbers of the sound files that are heard together


def separation_tracks(separation: Separation, others: Mapping[str, Separation]) -> tuple[Track, ...]:
    """Mixture, target (file 0), residual (file 1), and the targets of other renderers (files from 2 on)."""
    target, residual = track_names(separation)
    return (
        Track("Mixture", separation.mixture, (0, 1)),
        Track(target, separation.target, (0,)),
        Track(residual, separation.residual, (1,)),
        *(Track(f"Target by {name}", other.target, (2 + i,)) for i, (name, other) in enumerate(others.items())),
    )


def stem_tracks(separations: Sequence[Separation]) -> tuple[Track, ...]:
    """Mixture, one stem for each named sound in the order of their files, and the rest as the last file."""
    mixture = separations[0].mixture
    rest = Audio(mixture.samples - sum(one.target.samples for one in separations), mixture.rate_hz)
    return (
        Track("Mixture", mixture, tuple(range(len(separations) + 1))),
        *(Track(one.instruction.description, one.target, (i,)) for i, one in enumerate(separations)),
        Track("The rest", rest, (len(separations),)),
    )


def level_bytes(tracks: Sequence[Track]) -> np.ndarray:
    """Log-mel levels (tracks, columns, 128), the mixture first.

    255 is the mixture's loudest point, 0 is 65 dB below it or less.
    """
    gain = float(working_gain(tracks[0].sound.mono_16k))
    level_db = np.stack([mel_db(track.sound, gain) for track in tracks])  # (tracks, columns, M)
    share = 1.0 + (level_db - level_db[0].max()) / RANGE_DB
    return np.asarray(np.rint(LEVEL_STEPS * share.clip(0.0, 1.0)), dtype=np.uint8)


def attention_layers(separations: Sequence[Separation]) -> np.ndarray:
    """The attention (separations, layers, heads, columns, 8) as far as the clip goes."""
    columns = heard_columns(separations[0].mixture)
    layers = np.stack([one.attention_layers for one in separations])  # (N, layers, heads, P)
    return layers.reshape(*layers.shape[:-1], -1, PATCH_BANDS)[..., :columns, :].astype(np.float32)


def colour_table() -> str:
    """The 256 colours of the levels as hexadecimal digits, six a colour, faintest first."""
    colours = matplotlib.colormaps[SOUND_MAP](np.arange(LEVEL_STEPS + 1), bytes=True)[:, :3]
    return colours.tobytes().hex()


def spectrogram_alt(tracks: Sequence[Track]) -> str:
    """Say the spectrograms in words: the share of the mixture's energy in each track."""
    mixture, *parts = tracks
    total = float(np.square(mixture.sound.samples).sum()) or 1.0
    shares = "; ".join(f"{part.name}, {float(np.square(part.sound.samples).sum()) / total:.0%}" for part in parts)
    return (
        f"{len(tracks)} log-mel spectrograms over {mixture.sound.duration_s:.1f} seconds and 0 to 8 kHz, one "
        f"colour scale. Shares of the mixture's energy: {shares}."
    )


def player_record(
    tracks: Sequence[Track],
    attention_maps: Mapping[str, Separation],
    events: Mapping[str, Sequence[Event]],
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """All that the player shows beside the sounds, their levels and the attention, as plain data.

    Frequencies are in Hz, places on the frequency axis in bands; `notes` are what to know of the result.
    """
    first = next(iter(attention_maps.values()))
    layers, heads, patches = first.attention_layers.shape
    return {
        "duration_s": first.mixture.duration_s,
        "tracks": [{"name": track.name, "plays": list(track.plays)} for track in tracks],
        "notes": list(notes),
        "alt": spectrogram_alt(tracks),
        "range_db": RANGE_DB,
        "bands_hz": [round(band_hz(band)) for band in range(MEL_BANDS)],
        "ticks": [{"hz": hz, "band": min(band_of(hz), MEL_BANDS - 0.5)} for hz in TICKS_HZ],
        "attention": {
            "names": list(attention_maps),
            "alt": attention_alt(first),
            "layers": layers,
            "heads": heads,
            "columns": heard_columns(first.mixture),
            "column_s": COLUMN_S,
            "even": PATCH_BANDS / patches,
        },
        "spans": [{"sound": sound, "events": [asdict(event) for event in found]} for sound, found in events.items()],
    }

"""What the page's player draws: levels of its tracks as bytes, the attention, and where its axes have their marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import matplotlib
import numpy as np

from hsm.events import Event
from hsm.features import MEL_BANDS, PATCH_BANDS
from hsm.page.figures import (
    COLUMN_S,
    LEVEL_STEPS,
    LIGHT,
    RANGE_DB,
    band_hz,
    band_of,
    heard_columns,
    mel_db,
    mixture_gain,
    spectrogram_alt,
    track_names,
)
from hsm.records import Audio, Separation

TICKS_HZ = (500, 1_000, 2_000, 4_000, 8_000)  # lower ones would lie on each other in a row this flat


@dataclass(frozen=True, eq=False)
class Track:
    """One row of the player.

    Args:
        name: in words.
        sound: what it holds.
        plays: numbers of the sound files that are heard together; the mixture is the sum of its parts.
    """

    name: str
    sound: Audio
    plays: tuple[int, ...]


def separation_tracks(separation: Separation, others: Mapping[str, Separation]) -> tuple[Track, ...]:
    """Mixture, target, residual, and the targets of other renderers.

    Args:
        separation: what is heard first; its files are number 0, the target, and 1, the residual.
        others: the same request by other renderers; their targets are the files from 2 on.

    Returns:
        The tracks in the order of the player.
    """
    target, residual = track_names(separation)
    return (
        Track("Mixture", separation.mixture, (0, 1)),
        Track(target, separation.target, (0,)),
        Track(residual, separation.residual, (1,)),
        *(Track(f"Target by {name}", other.target, (2 + i,)) for i, (name, other) in enumerate(others.items())),
    )


def stem_tracks(separations: Sequence[Separation]) -> tuple[Track, ...]:
    """Mixture, one stem for each named sound, and the rest.

    Args:
        separations: as `hsm.stems.share_out` gives them.

    Returns:
        The tracks; files are numbered as the separations, the rest comes last.
    """
    mixture = separations[0].mixture
    rest = Audio(mixture.samples - sum(one.target.samples for one in separations), mixture.rate_hz)
    return (
        Track("Mixture", mixture, tuple(range(len(separations) + 1))),
        *(Track(one.instruction.description, one.target, (i,)) for i, one in enumerate(separations)),
        Track("The rest", rest, (len(separations),)),
    )


def level_bytes(tracks: Sequence[Track]) -> np.ndarray:
    """The log-mel levels of tracks on the mixture's scale.

    Args:
        tracks: the mixture first.

    Returns:
        (tracks, columns, 128) uint8; 255 is the mixture's loudest point, 0 is 65 dB below it or less.
    """
    gain = mixture_gain(tracks[0].sound)
    level_db = np.stack([mel_db(track.sound, gain) for track in tracks])  # (tracks, columns, M)
    share = 1.0 + (level_db - level_db[0].max()) / RANGE_DB
    return np.asarray(np.rint(LEVEL_STEPS * share.clip(0.0, 1.0)), dtype=np.uint8)


def attention_layers(separations: Sequence[Separation]) -> np.ndarray:
    """The attention of every layer and head, as far as the clip goes.

    Args:
        separations: of one mixture.

    Returns:
        (separations, layers, heads, columns, 8) float32.
    """
    columns = heard_columns(separations[0].mixture)
    layers = np.stack([one.attention_layers for one in separations])  # (N, layers, heads, P)
    return layers.reshape(*layers.shape[:-1], -1, PATCH_BANDS)[..., :columns, :].astype(np.float32)


def colour_table() -> str:
    """The 256 colours of the levels as hexadecimal digits, six a colour, faintest first."""
    colours = matplotlib.colormaps[LIGHT.sound_map](np.arange(LEVEL_STEPS + 1), bytes=True)[:, :3]
    return colours.tobytes().hex()


def player_record(
    tracks: Sequence[Track], separations: Mapping[str, Separation], events: Mapping[str, Sequence[Event]]
) -> dict[str, Any]:
    """All that the player shows beside the sounds, their levels and the attention.

    Args:
        tracks: the mixture first.
        separations: whose attention can be looked at, by a name for it.
        events: when each named sound is active.

    Returns:
        Plain data; frequencies in Hz, places on the frequency axis in bands.
    """
    first = next(iter(separations.values()))
    layers, heads, patches = first.attention_layers.shape
    return {
        "duration_s": first.mixture.duration_s,
        "tracks": [{"name": track.name, "plays": list(track.plays)} for track in tracks],
        "alt": spectrogram_alt(tracks),
        "range_db": RANGE_DB,
        "bands_hz": [round(band_hz(band)) for band in range(MEL_BANDS)],
        "ticks": [{"hz": hz, "band": min(band_of(hz), MEL_BANDS - 0.5)} for hz in TICKS_HZ],
        "attention": {
            "names": list(separations),
            "layers": layers,
            "heads": heads,
            "columns": heard_columns(first.mixture),
            "column_s": COLUMN_S,
            "even": PATCH_BANDS / patches,
        },
        "spans": [{"sound": sound, "events": [asdict(event) for event in found]} for sound, found in events.items()],
    }

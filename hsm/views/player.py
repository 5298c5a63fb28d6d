"""What the page's player draws: levels of the three tracks as bytes, and where its axes have their marks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import matplotlib
import numpy as np

from hsm.audio import MEL_BANDS
from hsm.events import Event
from hsm.records import Separation
from hsm.views.attention import COLUMN_S, attention_grid
from hsm.views.palette import LIGHT
from hsm.views.spectrograms import (
    RANGE_DB,
    band_hz,
    band_of,
    mel_db,
    mixture_gain,
    spectrogram_alt,
    track_names,
)

TICKS_HZ = (500, 1_000, 2_000, 4_000, 8_000)  # lower ones would lie on each other in a row this flat
STEPS = 255  # a level is a byte: a step is 0.25 dB


def level_bytes(separation: Separation) -> np.ndarray:
    """The log-mel levels of mixture, target and residual on one scale.

    Args:
        separation: what a call computed.

    Returns:
        (3, columns, 128) uint8; 255 is the mixture's loudest point, 0 is 65 dB below it or less.
    """
    gain = mixture_gain(separation.mixture)
    tracks = (separation.mixture, separation.target, separation.residual)
    level_db = np.stack([mel_db(audio, gain) for audio in tracks])  # (3, columns, M)
    share = 1.0 + (level_db - level_db[0].max()) / RANGE_DB
    return np.asarray(np.rint(STEPS * share.clip(0.0, 1.0)), dtype=np.uint8)


def colour_table() -> str:
    """The 256 colours of the levels as hexadecimal digits, six a colour, faintest first."""
    colours = matplotlib.colormaps[LIGHT.sound_map](np.arange(STEPS + 1), bytes=True)[:, :3]
    return colours.tobytes().hex()


def player_record(separation: Separation, events: Sequence[Event]) -> dict[str, Any]:
    """All that the player shows beside the sounds and their levels.

    Args:
        separation: what a call computed.
        events: when the named sound is active.

    Returns:
        Plain data; frequencies in Hz, places on the frequency axis in bands.
    """
    curve = attention_grid(separation).sum(1)
    return {
        "duration_s": separation.mixture.duration_s,
        "tracks": ["Mixture", *track_names(separation)],
        "range_db": RANGE_DB,
        "bands_hz": [round(band_hz(band)) for band in range(MEL_BANDS)],
        "ticks": [{"hz": hz, "band": min(band_of(hz), MEL_BANDS - 0.5)} for hz in TICKS_HZ],
        "attention": [round(float(share), 5) for share in curve],
        "column_s": COLUMN_S,
        "events": [asdict(event) for event in events],
        "sound": separation.instruction.description,
        "alt": spectrogram_alt(separation),
    }

"""Live listening: a rolling window over a stream, and the level of the named sound in each 0.16 s of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hsm.audio import is_silent
from hsm.features import COLUMN_SAMPLES, PATCH_BANDS, RATE_HZ
from hsm.records import Audio, Instruction
from hsm.separator import HSM

COLUMN_S = COLUMN_SAMPLES / RATE_HZ  # 0.16 s
WINDOW_COLUMNS = 16  # 2.56 s: half a second of one core's work
SHOWN_COLUMNS = 128  # 20.48 s
FAINTEST_DB = -80.0


@dataclass(frozen=True, eq=False)
class Listening:
    """What is kept of a stream.

    Args:
        recent: (S,) the last window, and behind it what does not fill a column yet.
        rate_hz: of the stream; 0 before it began.
        named_db: (N,) level of the named sound in each of the last columns, dBFS, at least -80.
        whole_db: (N,) level of all that was heard.
        attention: (N,) attention over attention spread evenly; 1 is even.
    """

    recent: np.ndarray
    rate_hz: int
    named_db: np.ndarray
    whole_db: np.ndarray
    attention: np.ndarray

    @staticmethod
    def begin(rate_hz: int) -> Listening:
        """Nothing was heard yet."""
        nothing = np.zeros(0, dtype=np.float32)
        return Listening(nothing, rate_hz, nothing, nothing, nothing)


def hear_on(model: HSM, before: Listening, chunk: Audio, sound: str) -> Listening:
    """Take in the next piece of a stream.

        recent   |--------- window, 2.56 s ---------|--new--|.|
        looked at         |--------- window, 2.56 s --------|    the columns of `new` are added to the curves

    A piece that completes no column of 0.16 s leaves the curves as they are; another rate begins anew; of a piece
    longer than a window the last window is looked at.
    """
    if before.rate_hz != chunk.rate_hz:
        before = Listening.begin(chunk.rate_hz)
    column = round(COLUMN_S * chunk.rate_hz)
    pending = before.recent.size % column
    recent = np.concatenate([before.recent, chunk.samples.mean(0)])  # (S,)
    new = min(WINDOW_COLUMNS, (pending + chunk.length_samples) // column)
    end = recent.size - recent.size % column
    kept = recent[max(0, end - WINDOW_COLUMNS * column) :]
    if new == 0:
        return replace(before, recent=kept)
    window = Audio(kept[: kept.size - kept.size % column], chunk.rate_hz)
    named, attention = np.zeros_like(window.samples[0]), np.ones(new)
    if not is_silent(window):
        found = model.separate(window, Instruction("extract", sound))
        named = found.target.samples[0]
        columns = window.length_samples // column
        share = found.attention.reshape(-1, PATCH_BANDS).sum(1)[:columns]  # (columns,)
        attention = (share * columns)[-new:]
    return Listening(
        kept,
        chunk.rate_hz,
        _rolled(before.named_db, _levels_db(named, column)[-new:]),
        _rolled(before.whole_db, _levels_db(window.samples[0], column)[-new:]),
        _rolled(before.attention, attention),
    )


def _levels_db(wave: np.ndarray, column: int) -> np.ndarray:
    power = np.square(wave.reshape(-1, column)).mean(1)  # (columns,)
    return np.asarray(np.maximum(10.0 * np.log10(np.maximum(power, 1e-12)), FAINTEST_DB))


def _rolled(before: np.ndarray, new: np.ndarray) -> np.ndarray:
    return np.concatenate([before, new])[-SHOWN_COLUMNS:].astype(np.float32)

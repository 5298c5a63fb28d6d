"""Whole sound files in and out."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np

from hsm.audio.reading import open_sound, warning_of
from hsm.audio.writing import SoundWriter
from hsm.errors import HSMError
from hsm.features import SILENCE_PEAK
from hsm.records import Audio

WIDEST_HZ = 2 * 48_000  # samples a second of all channels together


def load_audio(path: str | Path, longest_s: float = math.inf) -> Audio:
    """Read a sound file at its own rate, with all its channels.

    Args:
        path: any format of FFmpeg.
        longest_s: seconds from which on a file is refused, whatever its header says, and samples of all channels
            together from which on it is: as many as a stereo file of that length has at 48 kHz.

    Returns:
        The sound as float32; what is wrong with the file is told in its `warning` and by `warnings.warn`.

    Raises:
        HSMError: no such file, not a sound file, too long a one, or unusable samples (see `Audio`).
    """
    recording = open_sound(path)
    name = recording.path.name
    blocks: list[np.ndarray] = []  # (channels, n) each
    length, passing = 0, recording.blocks()
    for block in passing:
        blocks.append(block)
        length += block.shape[1]
        if length > longest_s * recording.rate_hz:
            raise HSMError(f"{name}: this is too long; at most {longest_s / 60:g} minutes are taken. Cut it first.")
        if length * recording.channels > longest_s * WIDEST_HZ:
            raise HSMError(
                f"{name}: {recording.channels} channels at {recording.rate_hz} Hz are too much for {longest_s / 60:g} "
                "minutes; take fewer channels, a lower rate or a shorter piece."
            )
    warning = warning_of(recording, passing, length)
    if warning:
        warnings.warn(f"{name}: {warning}", stacklevel=2)
    try:
        return Audio(np.concatenate(blocks, axis=1), recording.rate_hz, warning)  # (channels, S)
    except HSMError as error:
        raise HSMError(f"{name}: {error}") from error


def save_audio(audio: Audio, path: str | Path) -> Path:
    """Write a sound file; a .wav is 32-bit float, so nothing is clipped and levels stay true.

    Args:
        audio: what to write.
        path: the ending decides the format (.wav or .flac).

    Returns:
        The path.

    Raises:
        HSMError: an ending or a form that cannot be written; see `SoundWriter`.
    """
    path = Path(path)
    depth = "PCM_24" if path.suffix.lower() == ".flac" else "FLOAT"
    with SoundWriter(path, audio.rate_hz, audio.channels, depth, audio.length_samples) as writer:
        writer.write(audio.samples)
    return path


def is_silent(audio: Audio) -> bool:
    """Whether no sample exceeds -100 dBFS."""
    return bool(np.abs(audio.samples).max() < SILENCE_PEAK)

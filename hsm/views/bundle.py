"""Everything a separation gave, in one file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import soundfile

from hsm.reading import open_sound
from hsm.writing import FLAC_CHANNELS, SoundWriter

SMALL = {".json", ".csv"}  # worth compressing; pictures and FLAC are compressed already


def save_bundle(sounds: Sequence[Path], files: Sequence[Path], path: Path) -> Path:
    """Pack sounds as FLAC, and files as they are.

    Args:
        sounds: WAV files. A FLAC holds them at 16 or 24 bits; those of more than eight channels, or
            with samples beyond full scale, are packed as they are.
        files: what else belongs to them, each under its own name.
        path: a file name ending in .zip; beside it FLAC files lie for a moment.

    Returns:
        The path.
    """
    with ZipFile(path, "w", ZIP_STORED) as bundle:
        for sound in sounds:
            packed = _as_flac(sound, path.parent)
            bundle.write(packed, packed.name)
            if packed != sound:
                packed.unlink()
        for file in files:
            bundle.write(file, file.name, ZIP_DEFLATED if file.suffix in SMALL else ZIP_STORED)
    return path


def _as_flac(sound: Path, folder: Path) -> Path:
    recording = open_sound(sound)
    if recording.channels > FLAC_CHANNELS:
        return sound
    flac = folder / f"{sound.stem}.flac"
    depth = "PCM_16" if recording.depth == "PCM_16" else "PCM_24"
    length = soundfile.info(sound).frames
    with SoundWriter(flac, recording.rate_hz, recording.channels, depth, length) as writer:
        for block in recording.blocks():
            writer.write(block)
    if writer.clipped:
        flac.unlink()
        return sound
    return flac

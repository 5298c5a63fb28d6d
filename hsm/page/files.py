"""Files of requests: each writes to a folder of its own, which is deleted after an hour."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from gradio.utils import get_upload_folder

from hsm.audio.reading import open_sound, scan
from hsm.audio.writing import FLAC_CHANNELS, SoundWriter, short_name
from hsm.errors import HSMError

SWEEP_S, KEEP_S = 600, 3_600  # how often files are looked at, and how old they may get
SHORT_OF_ROOM_S = 900  # how old where room is needed
MOST_STORED_B = 20_000_000_000
REQUEST = "request-"


def upload_root() -> Path:
    """Where Gradio puts what users send, and we what they get."""
    root = Path(get_upload_folder())
    root.mkdir(parents=True, exist_ok=True)
    return root


def request_folder() -> Path:
    """A folder for the files of one request; its name cannot be guessed."""
    if not room_for(0):
        raise HSMError("The server's disk is full. Its files are deleted after an hour: try again then.")
    return Path(tempfile.mkdtemp(prefix=REQUEST, dir=upload_root()))


def delete_old(older_than_s: float) -> None:
    """Delete what is old: results, uploads, and what an upload that was broken off left."""
    for path in upload_root().iterdir():
        with contextlib.suppress(FileNotFoundError):  # another server may be at it
            if time.time() - path.stat().st_mtime <= older_than_s:
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def keep_deleting(kept: Sequence[Path]) -> None:
    """Delete what is old, at once and then as long as the server runs; folders that are kept never grow old."""
    while True:
        for folder in kept:
            os.utime(folder)
        delete_old(KEEP_S)
        time.sleep(SWEEP_S)


def room_for(size_b: int) -> bool:
    """Whether so much more may be stored; deletes what is a little old where room is short."""
    if size_b <= room_b():
        return True
    delete_old(SHORT_OF_ROOM_S)
    return size_b <= room_b()


def room_b() -> float:
    """Bytes that may still be stored: up to `MOST_STORED_B` or half of what the disk could hold."""
    stored = 0
    for folder, _, names in os.walk(upload_root()):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                stored += os.stat(os.path.join(folder, name)).st_size
    return min(MOST_STORED_B, (stored + shutil.disk_usage(upload_root()).free) / 2) - stored


def served(path: Path) -> str:
    """The address of a file of a request, relative to the page."""
    return f"gradio_api/file={quote(str(path))}"


def sound_paths(folder: Path, upload: str, names: Sequence[str]) -> list[Path]:
    """Where the sounds of a request go."""
    parts = [re.sub(r"\W+", "_", name).strip("_")[:40] for name in names]
    return [folder / f"{short_name(Path(upload).stem, 150)}_{short_name(part, 60)}.wav" for part in parts]


SMALL = {".json", ".csv"}  # worth compressing; pictures and FLAC are compressed already


def save_bundle(sounds: Sequence[Path], files: Sequence[Path], path: Path) -> Path:
    """Pack WAV files as FLAC of 16 or 24 bits, and files as they are, into a .zip; FLACs lie beside it for a moment.

    Sounds of more than eight channels, or with samples beyond full scale, are packed as they are.
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
    extent = scan(recording)
    if recording.channels > FLAC_CHANNELS or extent.peak > 1:
        return sound
    flac = folder / f"{sound.stem}.flac"
    depth = "PCM_16" if recording.depth == "PCM_16" else "PCM_24"
    with SoundWriter(flac, recording.rate_hz, recording.channels, depth, extent.length_samples, recording) as writer:
        for block in recording.blocks():
            writer.write(block)
    return flac

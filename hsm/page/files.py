"""Files of requests: each writes to a folder of its own, which is deleted after an hour."""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from gradio.utils import get_upload_folder

from hsm.reading import open_sound, scan
from hsm.writing import FLAC_CHANNELS, SoundWriter, short_name

SWEEP_S, KEEP_S = 600, 3_600  # how often files are looked at, and how old they may get
REQUEST = "request-"


def request_folder() -> Path:
    """A folder for the files of one request; its name cannot be guessed."""
    root = Path(get_upload_folder())
    root.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=REQUEST, dir=root))


def delete_requests(older_than_s: float) -> None:
    """Delete the folders of old requests; Gradio deletes only what it copied itself."""
    for folder in Path(get_upload_folder()).glob(f"{REQUEST}*"):
        if time.time() - folder.stat().st_mtime > older_than_s:
            shutil.rmtree(folder, ignore_errors=True)  # another server may be at it


def keep_deleting() -> None:
    """Delete old requests as long as the server runs."""
    while True:
        delete_requests(KEEP_S)
        time.sleep(SWEEP_S)


def served(path: Path) -> str:
    """The address of a file of a request, relative to the page."""
    return f"gradio_api/file={quote(str(path))}"


def sound_paths(folder: Path, upload: str, names: Sequence[str]) -> list[Path]:
    """Where the sounds of a request go."""
    parts = [re.sub(r"\W+", "_", name).strip("_")[:40] for name in names]
    return [folder / f"{short_name(Path(upload).stem, 150)}_{short_name(part, 60)}.wav" for part in parts]


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
    extent = scan(recording)
    if recording.channels > FLAC_CHANNELS or extent.peak > 1:
        return sound
    flac = folder / f"{sound.stem}.flac"
    depth = "PCM_16" if recording.depth == "PCM_16" else "PCM_24"
    with SoundWriter(flac, recording.rate_hz, recording.channels, depth, extent.length_samples, recording) as writer:
        for block in recording.blocks():
            writer.write(block)
    return flac

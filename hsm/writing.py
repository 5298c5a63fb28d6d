"""Sound files written block by block: under another name until they are whole.

Integer formats are rounded here and not by the library, so that what was rounded is known: a residual
that is mixture minus the *rounded* target adds up to the mixture to the last bit.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile

from hsm.errors import HSMError
from hsm.records import Audio

FORMATS = {".wav": ("PCM_16", "PCM_24", "PCM_32", "FLOAT"), ".flac": ("PCM_16", "PCM_24")}
BITS = {"PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32}
FLAC_CHANNELS = 8
NEAR_FULL = 0.999  # peaks that rounding may carry to full scale
WAV_BYTES = 2**32 - 2**16  # what a WAV's 32-bit sizes can tell; longer ones become RF64, its 64-bit form


def part_name(path: Path) -> Path:
    """The name under which a file is written until it is whole."""
    return path.with_name(f".{path.name}.part")


class SoundWriter:
    """Writes a sound file within a `with` block; it gets its name only when `finish` is called or the block ends well.

    An exception, also an interrupt from the keyboard, leaves nothing behind.

    Args:
        path: the ending decides the format, .wav or .flac; folders are made.
        rate_hz: samples a second.
        channels: how many.
        depth: "PCM_16", "PCM_24", "PCM_32" or "FLOAT"; a .flac takes the first two.
        length_samples: how many samples a channel will come; decides whether a WAV needs 64-bit sizes.

    Raises:
        HSMError: an ending, a depth or a number of channels that cannot be written, or a disk that refuses.
    """

    def __init__(self, path: str | Path, rate_hz: int, channels: int, depth: str, length_samples: int) -> None:
        self.path, self.depth = Path(path), depth
        self.clipped = 0  # samples beyond full scale that an integer format could not hold
        ending = self.path.suffix.lower()
        if ending not in FORMATS:
            raise HSMError(f"{self.path.name}: got ending {self.path.suffix!r}; wanted one of {', '.join(FORMATS)}.")
        if depth not in FORMATS[ending]:
            raise HSMError(
                f"{self.path.name}: a {ending} cannot be {depth}; wanted one of {', '.join(FORMATS[ending])}."
            )
        if ending == ".flac" and channels > FLAC_CHANNELS:
            raise HSMError(f"{self.path.name}: got {channels} channels; a .flac holds {FLAC_CHANNELS}. Write a .wav.")
        size = length_samples * channels * BITS[depth] // 8
        form = "FLAC" if ending == ".flac" else "WAV" if size < WAV_BYTES else "RF64"
        self._part = part_name(self.path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = soundfile.SoundFile(self._part, "w", rate_hz, channels, depth, format=form)
        except (OSError, soundfile.LibsndfileError) as error:
            raise HSMError(f"{self.path.name}: cannot be written ({error}); choose another folder.") from error

    def __enter__(self) -> SoundWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self._file.close()
            self._part.unlink(missing_ok=True)

    def write(self, samples: np.ndarray) -> np.ndarray:
        """Append samples.

        Args:
            samples: float32 (channels, n).

        Returns:
            (channels, n) what a reader of the file will get: rounded and clipped where the depth asks for it.

        Raises:
            HSMError: the disk refuses, for example because it is full.
        """
        written = samples
        coded: np.ndarray = samples
        if self.depth != "FLOAT":
            bits = BITS[self.depth]
            full = 2.0 ** (bits - 1)
            steps = np.rint(samples.astype(np.float64) * full)
            held = np.clip(steps, -full, full - 1)
            self.clipped += int((held != steps).sum())
            written = (held / full).astype(np.float32)
            coded = held.astype(np.int16) if bits == 16 else (held * 2.0 ** (32 - bits)).astype(np.int32)
        try:
            self._file.write(coded.T)
        except (OSError, soundfile.LibsndfileError) as error:
            raise HSMError(f"{self.path.name}: cannot be written on ({error}); is there room on the disk?") from error
        return written

    def finish(self) -> None:
        """Close the file and give it its name; a second call does nothing."""
        if not self._file.closed:
            self._file.close()
            os.replace(self._part, self.path)


def save_parts(mixture: Audio, parts: Sequence[Audio], paths: Sequence[Path], depth: str) -> None:
    """Write parts of a mixture, and what they leave of it; the files add up to the mixture as it was rounded.

    Args:
        mixture: the whole.
        parts: of its rate, channels and length.
        paths: one for each part and one for what is left; the endings decide the formats.
        depth: of the files, see `SoundWriter`; floating point where an integer could not hold a peak.

    Raises:
        HSMError: as `SoundWriter`.
    """
    assert len(paths) == len(parts) + 1
    left = mixture.samples - sum(part.samples for part in parts)  # (channels, S)
    if depth != "FLOAT" and any(np.abs(samples).max() >= NEAR_FULL for samples in (left, *(p.samples for p in parts))):
        depth = "FLOAT"
    form = (mixture.rate_hz, mixture.channels, depth, mixture.length_samples)
    left = mixture.samples.copy()
    for part, path in zip(parts, paths, strict=False):
        with SoundWriter(path, *form) as writer:
            left -= writer.write(part.samples)
    with SoundWriter(paths[-1], *form) as writer:
        writer.write(left)

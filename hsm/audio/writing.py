"""Sound files written block by block: under another name until they are whole.

Integer formats are rounded here and not by the library, so that what was rounded is known: a residual
that is mixture minus the *rounded* target adds up to the mixture to the last bit.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile

from hsm.audio.reading import Recording
from hsm.audio.riff import add_chunk, set_mask, time_reference
from hsm.errors import HSMError
from hsm.records import Audio

FORMATS = {".wav": ("PCM_16", "PCM_24", "PCM_32", "FLOAT"), ".flac": ("PCM_16", "PCM_24")}
BITS = {"PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32}
HELD_BITS = {"PCM_16": 16, "PCM_24": 24, "PCM_32": 24}  # samples are computed with 24 bits, so that sums are exact
FLAC_CHANNELS = 8
WAV_BYTES = 2**32 - 2**20  # what a WAV's 32-bit sizes can tell, with room for tags; longer ones become RF64
LOUDER = "a part is louder than full scale, so both files are in floating point"
COPIED = 1 << 16  # samples of a channel
MOST_TAG_BYTES = 4_000


def part_name(path: Path, mark: str = "") -> Path:
    """A name beside a file's: of its own, under which it is written until it is whole, or with a mark."""
    return path.with_name(f"{_part_stem(path)}{mark or secrets.token_hex(4) + '.part'}")


def parts_of(path: Path) -> list[Path]:
    """What writers of this file that were killed have left."""
    return sorted(path.parent.glob(f"{_part_stem(path)}*.part"))


def _part_stem(path: Path) -> str:
    return f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}-"


def short_name(name: str, most_bytes: int) -> str:
    """A part of a file's name in so many bytes; of a longer one the beginning, and letters of its hash."""
    coded = os.fsencode(name)
    if len(coded) <= most_bytes:
        return name
    mark = f"~{hashlib.sha256(coded).hexdigest()[:6]}"
    return coded[: most_bytes - len(mark)].decode("utf-8", "ignore") + mark


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """No other process can hold the lock of the same path meanwhile, or it is told; one that dies gives it back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = part_name(path, "lock")
    while True:
        held = os.open(lock, os.O_RDWR | os.O_CREAT)
        try:
            _lock(held)
            if lock.exists() and os.path.samestat(os.fstat(held), lock.stat()):
                break  # and not one that its last holder removed meanwhile
        except OSError as error:
            os.close(held)
            raise HSMError(f"{path.name}: another process is writing this now; wait until it is done.") from error
        os.close(held)
    try:
        yield
    finally:
        if os.name == "posix":  # elsewhere an open file cannot be removed
            lock.unlink(missing_ok=True)
        os.close(held)


def _lock(file: int) -> None:
    """Lock an open file or raise `OSError`."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class _Sink:
    """A file for libsndfile, which forgets some errors of the disk: the first one is kept here."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("x+b", buffering=0)
        self.error: OSError | None = None
        self.seek, self.tell, self.read = self._file.seek, self._file.tell, self._file.read
        self.readinto = self._file.readinto

    def write(self, data: bytes) -> int:
        """Write all of it, or keep the reason; who is told of less than all by a number would assert."""
        rest = memoryview(data)
        try:
            while rest and self.error is None:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.error = error
        return len(data)

    def close(self) -> None:
        """Close, and keep what the disk says only then."""
        try:
            self._file.close()
        except OSError as error:
            self.error = self.error or error


class SoundWriter:
    """Writes a sound file within a `with` block; it gets its name only when `finish` is called or the block ends well.

    An exception, also an interrupt from the keyboard, leaves nothing behind. Samples beyond full scale turn a file of
    integers into one of floating point, and a .flac, which has none, into a .wav: `path` and `depth` tell. Whether a
    WAV needs 64-bit sizes is decided by `length_samples`; tags, time code and loudspeakers of `source` are kept.
    Raises `HSMError` for an ending, a depth or a number of channels that cannot be written, or a disk that refuses.
    """

    def __init__(
        self,
        path: str | Path,
        rate_hz: int,
        channels: int,
        depth: str,
        length_samples: int,
        source: Recording | None = None,
    ) -> None:
        self.path, self.depth = Path(path), depth
        self._form = (rate_hz, channels, length_samples)
        self._source = source
        self._together = [self]  # files that belong to each other have one depth
        ending = self.path.suffix.lower()
        if ending not in FORMATS:
            raise HSMError(f"{self.path.name}: got ending {self.path.suffix!r}; wanted one of {', '.join(FORMATS)}.")
        if depth not in FORMATS[ending]:
            raise HSMError(
                f"{self.path.name}: a {ending} cannot be {depth}; wanted one of {', '.join(FORMATS[ending])}."
            )
        if ending == ".flac" and channels > FLAC_CHANNELS:
            raise HSMError(f"{self.path.name}: got {channels} channels; a .flac holds {FLAC_CHANNELS}. Write a .wav.")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._open()
        except (OSError, soundfile.LibsndfileError) as error:
            raise HSMError(f"{self.path.name}: cannot be written ({_why(error)}); choose another folder.") from error

    def _open(self) -> None:
        rate_hz, channels, length_samples = self._form
        size = length_samples * channels * BITS[self.depth] // 8
        self._mask = self._source.mask if self._source is not None and channels > 2 else 0
        flac = self.path.suffix.lower() == ".flac"
        form = "FLAC" if flac else "RF64" if size >= WAV_BYTES else "WAVEX" if self._mask else "WAV"
        self._part = part_name(self.path)
        self._sink = _Sink(self._part)
        self._file = soundfile.SoundFile(self._sink, "w", rate_hz, channels, self.depth, format=form)
        for key, value in self._tags().items():
            setattr(self._file, key, value)

    def _tags(self) -> dict[str, str]:
        if self._source is None:
            return {}
        tags = dict(self._source.tags)
        bext = self._source.chunks.get(b"bext")
        if bext and self.path.suffix.lower() == ".flac":  # it has no place of its own for the time code
            note = f"BWF time reference: {time_reference(bext)} samples"
            tags["comment"] = f"{tags['comment']}; {note}" if "comment" in tags else note
        names = {"track": "tracknumber"}
        return {
            names.get(key, key): value.encode("utf-8", "replace")[:MOST_TAG_BYTES].decode("utf-8", "ignore")
            for key, value in tags.items()
            if "\0" not in value
        }

    def __enter__(self) -> SoundWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self._drop()

    def write(self, samples: np.ndarray) -> np.ndarray:
        """Append float32 (channels, n); what a reader of the file will get, rounded where the depth asks for it."""
        if self.depth != "FLOAT":
            bits = HELD_BITS[self.depth]
            full = 2.0 ** (bits - 1)
            steps = np.rint(samples.astype(np.float64) * full)
            # Full scale itself is one step too far, and loses it; what is louder would be lost.
            if steps.size == 0 or np.abs(steps).max() <= full:
                held = np.minimum(steps, full - 1)
                self._append(held.astype(np.int16) if bits == 16 else (held * 256).astype(np.int32))
                return (held / full).astype(np.float32)
            for writer in self._together:
                writer._widen()
        self._append(samples)
        return samples

    def _append(self, coded: np.ndarray) -> None:
        try:
            self._file.write(coded.T)
        except (OSError, soundfile.LibsndfileError) as error:
            raise self._refused(error) from error
        if self._sink.error is not None:
            raise self._refused(self._sink.error)

    def _refused(self, error: Exception) -> HSMError:
        why = _why(self._sink.error or error)
        return HSMError(f"{self.path.name}: cannot be written on ({why}); is there room on the disk?")

    def _widen(self) -> None:
        """Go on in floating point; what was written so far is copied, which changes no value."""
        if self.depth == "FLOAT":
            return
        before = self._part
        try:
            self._close()
            self.depth, self.path = "FLOAT", self.path.with_suffix(".wav")
            self._open()
            with soundfile.SoundFile(before) as written:
                while len(block := written.read(COPIED, "float32", always_2d=True)):
                    self._append(block.T)
        finally:
            before.unlink(missing_ok=True)

    def _close(self) -> None:
        try:
            self._file.close()
        except (OSError, soundfile.LibsndfileError) as error:
            raise self._refused(error) from error
        finally:
            self._sink.close()
        if self._sink.error is not None:
            raise self._refused(self._sink.error)

    def _drop(self) -> None:
        if not self._file.closed:
            self._file.close()
            self._sink.close()
        self._part.unlink(missing_ok=True)

    def finish(self) -> None:
        """Close the file and give it its name; a second call does nothing."""
        if not self._file.closed:
            self._seal()
        if self._part.exists():
            os.replace(self._part, self.path)

    def _seal(self) -> None:
        """Close the file, whole."""
        try:
            self._close()
            self._add_chunks()
        except (HSMError, OSError) as error:
            self._drop()
            raise error if isinstance(error, HSMError) else self._refused(error) from error

    def _add_chunks(self) -> None:
        kept = self._source.chunks if self._source is not None and self.path.suffix.lower() == ".wav" else {}
        if not kept and not self._mask:
            return
        with self._part.open("r+b") as file:
            for name, content in kept.items():
                add_chunk(file, name, content)
            if self._mask:
                set_mask(file, self._mask)


def _why(error: Exception) -> str:
    """An error's reason without the path, which others need not see."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error).rstrip(".")


@contextmanager
def sound_writers(
    paths: Sequence[str | Path],
    rate_hz: int,
    channels: int,
    depth: str,
    length_samples: int,
    source: Recording | None = None,
) -> Iterator[list[SoundWriter]]:
    """Writers of files that belong together: they have one depth, and get their names when all are whole.

    Raises `HSMError` as `SoundWriter` does, and for two paths that are one file, or the source's.
    """
    taken = [source.path.resolve()] if source is not None else []
    for path in map(Path, paths):
        if path.resolve() in taken or (source is not None and path.exists() and path.samefile(source.path)):
            raise HSMError(f"{path.name}: this file is the recording itself, or named twice; choose another name.")
        taken.append(path.resolve())
    with ExitStack() as stack:
        writers = [
            stack.enter_context(SoundWriter(path, rate_hz, channels, depth, length_samples, source)) for path in paths
        ]
        for writer in writers:
            writer._together = writers
        yield writers
        for writer in writers:
            writer._seal()


def save_parts(
    mixture: Audio, parts: Sequence[Audio], paths: Sequence[Path], depth: str, source: Recording | None = None
) -> None:
    """Write parts of a mixture, and what they leave of it; the files add up to the mixture as it was rounded.

    There is a path for each part and one for what is left; the endings decide the formats.
    """
    assert len(paths) == len(parts) + 1
    form: tuple[Any, ...] = (mixture.rate_hz, mixture.channels, depth, mixture.length_samples, source)
    left = mixture.samples.copy()
    with sound_writers(paths, *form) as writers:
        for begin in range(0, mixture.length_samples, COPIED):
            block = slice(begin, begin + COPIED)
            for part, writer in zip(parts, writers, strict=False):
                left[:, block] -= writer.write(part.samples[:, block])
            writers[-1].write(left[:, block])

"""Sound files of any kind, read block by block, so that hours of sound take no more memory than seconds.

What libsndfile knows (WAV, FLAC, OGG, MP3, AIFF) it reads; everything else goes to FFmpeg through PyAV
(M4A, AAC, MP4, MOV, MKV, WebM). The content decides, not the ending. A WAV, MP3 or OGG that was
cut off is taken as far as it goes, and `survey` says so; a format that cannot be read on behind the cut,
such as FLAC, is refused. AAC comes with the silence that its coder filled the last frame up with: MP4
tells the length in milliseconds only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from hsm.errors import HSMError
from hsm.records import check_form, not_finite
from hsm.truncation import Promise, promise_of

BLOCK_SAMPLES = 1 << 16  # of one channel, read at a time
LIBSNDFILE_ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".caf", ".w64", ".au")
FFMPEG_ENDINGS = (".m4a", ".aac", ".mp4", ".m4v", ".mov", ".mkv", ".mka", ".webm", ".avi", ".wma", ".3gp", ".ac3")
ENDINGS = (*LIBSNDFILE_ENDINGS, *FFMPEG_ENDINGS)  # what a search through a folder takes for sound
# Playlists and scripts could make FFmpeg open other files or addresses: only media containers are let in.
DEMUXERS = "mov,matroska,webm,aac,mp3,ogg,flac,wav,asf,avi,mpegts,mpeg,ac3,eac3,caf,amr,flv,w64,aiff"
DEPTHS = {  # what an output of the same depth is written as; floating point for what was coded with loss
    **dict.fromkeys(("PCM_U8", "PCM_S8", "PCM_16", "ULAW", "ALAW", "ALAC_16"), "PCM_16"),
    **dict.fromkeys(("PCM_24", "ALAC_20", "ALAC_24"), "PCM_24"),
    **dict.fromkeys(("PCM_32", "ALAC_32"), "PCM_32"),
}
SLACK_S = 0.2  # a container's length may be off by the frames that coders add and players drop
WANTED = "Wanted WAV, FLAC, OGG, MP3, AIFF, M4A, MP4, MKV, WebM or the like; convert it first."


@dataclass(frozen=True, eq=False)
class Recording:
    """A sound file that can be read from its start as often as wanted.

    Args:
        path: the file.
        rate_hz: its rate.
        channels: how many it has.
        depth: "PCM_16", "PCM_24", "PCM_32" or "FLOAT": what keeps its samples as they are.
        blocks: starts a pass over it: float32 (channels, n) in order, any n above 0. Raises `HSMError`
            where the file breaks off or cannot be decoded on.
        promise: what the file says of its own end.
    """

    path: Path
    rate_hz: int
    channels: int
    depth: str
    blocks: Callable[[], Iterator[np.ndarray]]
    promise: Promise

    @property
    def told_s(self) -> float:
        """Length in seconds that the header tells, 0 where it tells none."""
        return self.promise.length_samples / self.rate_hz


@dataclass(frozen=True)
class Extent:
    """What one pass over a recording tells.

    Args:
        length_samples: samples a channel, counted.
        peak: largest absolute sample.
        warning: what the user should know of a file that seems cut off, else "".
    """

    length_samples: int
    peak: float
    warning: str = ""


def open_sound(path: str | Path) -> Recording:
    """Open a sound file, or the first sound track of a video.

    Args:
        path: any format of libsndfile or, through PyAV, of FFmpeg.

    Returns:
        The recording; nothing but its header has been read.

    Raises:
        HSMError: no such file, not a sound file, no sound track, a rate or a number of channels that is
            not taken, or a format that needs PyAV where it is not installed.
    """
    path = Path(path)
    if not path.is_file():
        raise HSMError(f"{path.name}: there is no such file; check the path.")
    if path.stat().st_size == 0:
        raise HSMError(f"{path.name}: the file is empty (0 bytes); export or download it again.")
    try:
        with soundfile.SoundFile(path) as file:
            recording = Recording(
                path,
                file.samplerate,
                file.channels,
                DEPTHS.get(file.subtype, "FLOAT"),
                lambda: _libsndfile_blocks(path),
                promise_of(path, file),
            )
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a headerless .raw
        why = getattr(error, "error_string", "no header tells its rate").rstrip(".")
        recording = _open_with_ffmpeg(path, why)
    try:
        check_form(recording.channels, recording.rate_hz)
    except HSMError as error:
        raise HSMError(f"{path.name}: {error}") from error
    return recording


def survey(recording: Recording) -> Extent:
    """Read a recording once from end to end, so that its faults show before any work is spent on it.

    Args:
        recording: any length; memory stays constant.

    Returns:
        Length and peak, and whether it seems cut off.

    Raises:
        HSMError: no samples, samples that are not finite, or a file that breaks off.
    """
    length, peak, bad = 0, 0.0, 0
    for block in recording.blocks():
        length += block.shape[1]
        bad += block.size - int(np.isfinite(block).sum())
        peak = max(peak, float(np.abs(block).max()))
    if length == 0:
        raise HSMError(f"{recording.path.name}: the file holds no samples; export or record it again.")
    if bad:
        raise HSMError(f"{recording.path.name}: {not_finite(bad, length * recording.channels)}")
    return Extent(length, peak, recording.promise.broken(length, recording.rate_hz))


def _broken(path: Path, seconds: float, why: str) -> HSMError:
    return HSMError(
        f"{path.name}: the file is damaged or cut off {seconds:.2f} s after its start ({why}); "
        "download or export it again, or cut it before that place."
    )


def _libsndfile_blocks(path: Path) -> Iterator[np.ndarray]:
    with soundfile.SoundFile(path) as file:
        done = 0
        while True:
            try:
                block = file.read(BLOCK_SAMPLES, dtype="float32", always_2d=True)  # (n, channels)
            except soundfile.LibsndfileError as error:
                raise _broken(
                    path, done / file.samplerate, error.error_string.rstrip(".") or "no reason told"
                ) from error
            if len(block) == 0:
                break
            done += len(block)
            yield block.T


def _av(path: Path, why: str) -> Any:
    try:
        import av
    except ModuleNotFoundError as error:
        raise HSMError(
            f"{path.name}: libsndfile cannot read this file ({why}), and PyAV, which reads M4A, AAC, MP4, "
            "MOV, MKV and WebM, is not installed. Run `pip install av`, or convert the file to WAV."
        ) from error
    return av


def _open_with_ffmpeg(path: Path, why: str) -> Recording:
    av = _av(path, why)
    not_sound = HSMError(f"{path.name}: this is not a sound file that can be read ({why}). {WANTED}")
    try:
        with path.open("rb") as file, av.open(file, container_options={"format_whitelist": DEMUXERS}) as container:
            if not container.streams.audio:
                raise HSMError(f"{path.name}: the file has no sound track; choose one that has.")
            stream = container.streams.audio[0]
            codec = stream.codec_context
            rate_hz, channels = codec.rate, codec.channels
            exact = codec.name.startswith("pcm_") or codec.name in ("alac", "flac", "wavpack", "tta")
            depth = {"s16": "PCM_16", "s32": "PCM_24"}.get(codec.format.name.rstrip("p"), "FLOAT")
            promise = Promise(round(rate_hz * _told_s(container, stream)), round(rate_hz * SLACK_S))
    except (av.FFmpegError, AttributeError) as error:  # AttributeError: a track that no decoder knows
        raise not_sound from error
    return Recording(
        path, rate_hz, channels, depth if exact else "FLOAT", lambda: _ffmpeg_blocks(path, rate_hz), promise
    )


def _told_s(container: Any, stream: Any) -> float:
    """Length of a track as its container tells it, 0 where FFmpeg could only guess it from the bit rate."""
    if container.format.name.startswith("mov,") and stream.duration is not None:
        return float(stream.duration * stream.time_base)
    parts = stream.metadata.get("DURATION", "0").split(":")  # Matroska's tag, such as 00:00:04.023
    return sum(float(part) * 60**i for i, part in enumerate(reversed(parts)))


def _ffmpeg_blocks(path: Path, rate_hz: int) -> Iterator[np.ndarray]:
    av = _av(path, "no format of its own")
    done = 0
    with path.open("rb") as file, av.open(file, container_options={"format_whitelist": DEMUXERS}) as container:
        stream = container.streams.audio[0]
        as_float = av.AudioResampler(format="fltp")
        try:
            for frame in container.decode(stream):
                for converted in as_float.resample(frame):
                    block = converted.to_ndarray()  # (channels, n)
                    done += block.shape[1]
                    yield block
        except (av.FFmpegError, ValueError) as error:  # ValueError: rate or layout changes on the way
            raise _broken(path, done / rate_hz, str(error)) from error

"""Sound files of all kinds and lengths, some of them broken, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

from hsm.benchmarks import swelling_noise

# ending, libsndfile's format and subtype
PLAIN = (
    ("wav", "WAV", "PCM_16"),
    ("wav", "WAV", "PCM_24"),
    ("wav", "WAV", "PCM_32"),
    ("wav", "WAV", "FLOAT"),
    ("wav", "WAV", "PCM_U8"),
    ("flac", "FLAC", "PCM_16"),
    ("flac", "FLAC", "PCM_24"),
    ("aiff", "AIFF", "PCM_16"),
    ("ogg", "OGG", "VORBIS"),
    ("opus", "OGG", "OPUS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
)
# ending, FFmpeg's codec, whether a picture track is there
CODED = (
    ("m4a", "aac", False),
    ("m4a", "alac", False),
    ("mp4", "aac", True),
    ("mov", "pcm_s16le", False),
    ("mkv", "flac", True),
    ("webm", "libopus", False),
)
KINDS: tuple[tuple[str, str, str | bool], ...] = (*PLAIN, *CODED)
RATES_HZ, CODED_RATES_HZ = (8_000, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000), (44_100, 48_000)
LOSSY_RATES_HZ = {"MP3": (16_000, 44_100, 48_000), "OGG": (8_000, 16_000, 48_000)}
LENGTHS_S = (0.05, 0.3, 1.0, 2.5, 11.0)


def _plain(path: Path, rate_hz: int, channels: int, seconds: float, form: str, subtype: str) -> None:
    sound = swelling_noise(seconds, rate_hz, channels)
    soundfile.write(path, sound.samples.T, rate_hz, subtype, format=form)


def _coded(path: Path, rate_hz: int, channels: int, seconds: float, codec: str, picture: bool) -> None:
    samples, layout = swelling_noise(seconds, rate_hz, channels).samples, "stereo" if channels == 2 else "mono"
    with av.open(str(path), "w") as container:
        if picture:
            still: Any = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        if codec:
            track: Any = container.add_stream(codec, rate=rate_hz, layout=layout)
        if picture:
            black = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
            container.mux([*still.encode(black), *still.encode(None)])
        if codec:
            for begin in range(0, samples.shape[1], 1_024):
                block = np.ascontiguousarray(samples[:, begin : begin + 1_024])
                frame = av.AudioFrame.from_ndarray(block, "fltp", layout)
                frame.sample_rate, frame.pts = rate_hz, begin
                container.mux(track.encode(frame))
            container.mux(track.encode(None))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _broken_m4a(path: Path) -> None:
    _coded(path, 44_100, 2, 2.0, "aac", False)
    _cut(path)


BROKEN: tuple[tuple[str, Callable[[Path], object]], ...] = (
    ("empty.wav", lambda path: path.write_bytes(b"")),
    ("text.mp3", lambda path: path.write_text("this is no sound")),
    ("page.m4a", lambda path: path.write_text("<html>404</html>")),
    ("random.ogg", lambda path: path.write_bytes(np.random.default_rng(0).bytes(5_000))),
    ("no_samples.wav", lambda path: soundfile.write(path, np.zeros(0), 16_000)),
    ("silent.flac", lambda path: soundfile.write(path, np.zeros(8_000), 16_000)),
    ("nan.wav", lambda path: soundfile.write(path, np.array([0.1, np.nan] * 4_000), 16_000, "FLOAT")),
    ("cut.m4a", _broken_m4a),
    ("no_sound.mp4", lambda path: _coded(path, 44_100, 2, 1.0, "", True)),
)


def make_files(folder: Path, count: int, broken: int) -> tuple[list[Path], list[Path]]:
    """Make files.

    Args:
        folder: an existing one; they go into it and folders below.
        count: how many in all.
        broken: how many of them cannot be separated.

    Returns:
        The good ones and the broken ones.
    """
    good: list[Path] = []
    kinds, lengths, channels = cycle(KINDS), cycle(LENGTHS_S), cycle((1, 2, 2))
    for number in range(count - broken):
        place = folder / f"part{number % 3}"
        place.mkdir(exist_ok=True)
        ending, how, detail = next(kinds)
        path = place / f"{number:03d}.{ending}"
        coded = isinstance(detail, bool)
        rates = (48_000,) if how == "libopus" else CODED_RATES_HZ if coded else LOSSY_RATES_HZ.get(how, RATES_HZ)
        rate_hz, seconds, width = rates[number % len(rates)], next(lengths), next(channels)
        if isinstance(detail, bool):
            _coded(path, rate_hz, width, max(seconds, 0.3), how, detail)
        else:
            _plain(path, rate_hz, width, seconds, how, detail)
        good.append(path)
    bad: list[Path] = []
    faults = cycle(BROKEN)
    for number in range(broken):
        name, make = next(faults)
        bad.append(folder / f"broken{number:02d}_{name}")
        make(bad[-1])
    return good, bad

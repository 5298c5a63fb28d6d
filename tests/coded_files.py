"""Files of FFmpeg's formats, made on the spot."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile

RATE_HZ = 48_000
TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ + 77) / RATE_HZ)).astype(np.float32)


def add_track(container: Any, codec: str, samples: np.ndarray, rate_hz: int = RATE_HZ, layout: str = "stereo") -> None:
    """Encode samples (channels, S) as a sound track of an open container; call once all tracks were added."""
    track = container.add_stream(codec, rate=rate_hz, layout=layout)
    fill_track(container, track, samples, rate_hz, layout)


def fill_track(container: Any, track: Any, samples: np.ndarray, rate_hz: int, layout: str) -> None:
    """Encode samples (channels, S) into a track."""
    for begin in range(0, samples.shape[1], 1_000):
        block = np.ascontiguousarray(samples[:, begin : begin + 1_000], np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate_hz, begin
        container.mux(track.encode(frame))
    container.mux(track.encode(None))


def coded(path: Path, codec: str, channels: int = 2, video: bool = False, sound: bool = True, **tags: str) -> Path:
    """The tone as a file of FFmpeg's, with a picture track where asked."""
    layout = "stereo" if channels == 2 else "mono"
    with av.open(str(path), "w") as container:
        container.metadata.update(tags)
        if video:
            picture = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        if sound:
            track = container.add_stream(codec, rate=RATE_HZ, layout=layout)
        if video:
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
            container.mux([*picture.encode(frame), *picture.encode(None)])
        if sound:
            fill_track(container, track, np.tile(TONE, (channels, 1)), RATE_HZ, layout)
    return path


def encoded(samples: np.ndarray, rate_hz: int, form: str, subtype: str = "", **choices: Any) -> bytes:
    """A file of libsndfile's, (channels, S), in memory."""
    file = io.BytesIO()
    soundfile.write(file, samples.T, rate_hz, subtype or None, format=form, **choices)
    return file.getvalue()

"""Files of FFmpeg's formats, made on the spot."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

RATE_HZ = 48_000
TONE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ + 77) / RATE_HZ)).astype(np.float32)


def coded(path: Path, codec: str, channels: int = 2, video: bool = False, sound: bool = True) -> Path:
    """The tone as a file of FFmpeg's, with a picture track where asked."""
    layout = "stereo" if channels == 2 else "mono"
    with av.open(str(path), "w") as container:
        if video:
            picture = container.add_stream("mpeg4", rate=10, width=32, height=32, pix_fmt="yuv420p")
        if sound:
            track = container.add_stream(codec, rate=RATE_HZ, layout=layout)
        if video:
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
            container.mux([*picture.encode(frame), *picture.encode(None)])
        if sound:
            for begin in range(0, TONE.size, 1_000):
                block = np.ascontiguousarray(np.tile(TONE[begin : begin + 1_000], (channels, 1)))
                frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
                frame.sample_rate, frame.pts = RATE_HZ, begin
                container.mux(track.encode(frame))
            container.mux(track.encode(None))
    return path

"""Whether a sound file was cut off, where its format can tell. A length that FFmpeg only guessed is no promise.

WAV, RF64, W64             the size of the samples in the header against the bytes that are there
AIFF, CAF, AU, FLAC, ...   the number of samples in the header
MP3                        the number of frames in its first one, if its coder wrote it there
OGG, Opus                  the last page says that it is the last
MP4, MKV                   the sound track's length
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, BinaryIO

STREAMED = (range(0x7FFF0000, 0x80010000), range(0xFFFF0000, 0x100000000))  # what programs write that cannot seek back
COUNTED = ("aiff", "caf", "avi")  # the header has a number of samples, whatever FFmpeg made of the file's size
# The duration is the header's.
TOLD = ("flac", "tta", "wv", "ape", "tak", "dsf", "au", "ogg", "mov,mp4,m4a,3gp,3g2,mj2")
SLACK_S = 0.2  # a container's length may be off by the frames that coders add and players drop
XING_FRAME, FRAME_SAMPLES = 2_881, 1_152  # bytes of an MP3's largest frame; its samples, half as many below 32 kHz
OGG_LAST, OGG_FIRST = 4, 2  # flags of a page


@dataclass(frozen=True)
class Promise:
    """What a file says of its own end."""

    length_samples: int = 0  # a channel, as its header tells; 0 where it tells none that can be trusted
    share: float = 1.0  # of the bytes that it tells so many are there
    ended: bool = True  # whether it has the mark that its format ends with, or needs none
    unfinished: bool = False  # whether its header was never completed

    def broken(self, length_samples: int, rate_hz: int) -> str:
        """What to tell the user of a file of which so many samples could be read; "" where it is whole."""
        held_s = length_samples / rate_hz
        told_s = held_s / self.share if self.share < 1 else self.length_samples / rate_hz
        if told_s - held_s > (0.001 if self.share < 1 else SLACK_S):
            found = f"it holds {held_s:.2f} s of the {told_s:.2f} s that its header tells"
        elif not self.ended:
            found = f"after {held_s:.2f} s, without the mark of its end"
        elif self.unfinished and length_samples:
            return f"the file's header was never completed; all {held_s:.2f} s behind it were taken"
        else:
            return ""
        return f"the file seems cut off: {found}; what is there was taken, copy or download it again for the rest"


def promise_of(container: Any, stream: Any, first_byte: int | None, file: BinaryIO) -> Promise:
    """What a file says of its end, as PyAV opened it; `first_byte` is where FFmpeg tells that its samples begin."""
    name, rate_hz = container.format.name, stream.codec_context.rate
    if name in ("wav", "w64") and first_byte is not None:
        whole = stream.codec_context.name.startswith("pcm_") and stream.duration
        return _promise_in_bytes(name, first_byte, file, round((whole or 0) * stream.time_base * rate_hz))
    if name == "mp3" and first_byte is not None:
        frame = FRAME_SAMPLES if rate_hz >= 32_000 else FRAME_SAMPLES // 2
        frames, told = _xing_frames(first_byte, file), round(stream.duration * stream.time_base * rate_hz)
        return Promise(told if 0 <= frames * frame - told < 4 * frame else frames * frame)  # less what coders add
    if name in COUNTED and stream.codec_context.name.startswith("pcm_"):
        return Promise(stream.frames)
    if name in TOLD and stream.duration:
        return Promise(round(stream.duration * stream.time_base * rate_hz))
    hours, minutes, seconds = (stream.metadata.get("DURATION", "").split(":") + ["0"] * 3)[:3]  # Matroska's tag
    try:
        return Promise(round(rate_hz * (int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds))))
    except ValueError:  # a tag of somebody's own
        return Promise()


def _promise_in_bytes(name: str, first_byte: int, file: BinaryIO, there_samples: int) -> Promise:
    there = file.seek(0, 2) - first_byte
    file.seek(0)
    head = file.read(48)
    file.seek(max(0, first_byte - 24))
    before = file.read(24)
    if name == "w64":
        told = struct.unpack("<q", before[-8:])[0] - 24
    else:
        told = struct.unpack("<I", before[-4:])[0]
        if head[:4] in (b"RF64", b"BW64") and told == 0xFFFFFFFF:
            told = struct.unpack("<Q", head[28:36])[0]
        elif told == 0 or any(told in sizes for sizes in STREAMED):
            return Promise(unfinished=told == 0)
    share = min(1.0, there / told) if told > 0 else 1.0
    return Promise(round(there_samples / share) if share else 0, share)


def _xing_frames(first_byte: int, file: BinaryIO) -> int:
    """Number of frames that an MP3's coder noted before the first, 0 where it did not."""
    file.seek(max(0, first_byte - XING_FRAME))
    before = file.read(min(first_byte, XING_FRAME))
    mark = max(before.rfind(b"Xing"), before.rfind(b"Info"))
    if mark < 0 or len(before) < mark + 12 or not before[mark + 7] & 1:
        return 0
    return int.from_bytes(before[mark + 8 : mark + 12])


def ogg_links(file: BinaryIO) -> tuple[list[tuple[int, int]], bool]:
    """The parts [begin, end) in bytes of a chained OGG, and whether its last page says that it is the last.

    link 0  |first|first|page|page|...|last|        a page is: "OggS", 2 bytes, 20 more, the number of its segments,
    link 1                                 |first|  their sizes, their bytes; tracks that run together begin together
    """
    end = file.seek(0, 2)
    begins, place, flags, was_first = [], 0, 0, False
    while place + 27 <= end:
        file.seek(place)
        head = file.read(27 + 255)
        if head[:4] != b"OggS":
            file.seek(place)
            near = file.read(1 << 16).find(b"OggS", 1)
            place += near if near > 0 else (1 << 16) - 3
            continue
        flags = head[5]
        first = bool(flags & OGG_FIRST)
        if first and not was_first:
            begins.append(place)
        was_first = first
        place += 27 + head[26] + sum(head[27 : 27 + head[26]])
    return list(pairwise([*begins, end])) or [(0, end)], bool(flags & OGG_LAST) and place <= end

"""Whether a sound file was cut off, where its format can tell.

WAV, AIFF, AU, RF64, W64   the size in the header against the file's
MP3                        the number of frames in its first one, if its coder wrote it there
OGG, Opus                  the last page says that it is the last
MP4, MKV                   the sound track's length against what could be decoded
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import soundfile

SIZE = re.compile(r":\s*(\d+) \(should be (\d+)\)")  # libsndfile's log, of a chunk's size
UNKNOWN = (range(0x7FFFFF00, 0x80000000), range(0xFFFFFF00, 0x100000000))  # sizes of a WAV that was streamed
FRAME_SAMPLES = 1_152  # of an MP3: its length is told in whole frames, and the decoder drops some
OGG_PAGE, OGG_FLAGS, OGG_LAST = 65_307, 5, 4  # largest page, where its flags are, the one of the last page


@dataclass(frozen=True)
class Promise:
    """What a file says of its own end.

    Args:
        length_samples: samples a channel that its header tells, 0 where it does not.
        slack_samples: as many may be missing.
        ended: whether it has the mark that its format ends with, or needs none.
    """

    length_samples: int = 0
    slack_samples: int = 0
    ended: bool = True

    def broken(self, length_samples: int, rate_hz: int) -> str:
        """What to tell the user of a file of which so many samples could be read; "" where it is whole."""
        held_s = length_samples / rate_hz
        if length_samples + self.slack_samples < self.length_samples:
            found = f"it holds {held_s:.2f} s of the {self.length_samples / rate_hz:.2f} s that its header tells"
        elif not self.ended:
            found = f"after {held_s:.2f} s, without the mark of its end"
        else:
            return ""
        return f"the file seems cut off: {found}; what is there was taken, copy or download it again for the rest"


def promise_of(path: Path, file: soundfile.SoundFile) -> Promise:
    """What a file that libsndfile has open says of its end."""
    if file.format == "OGG":
        return Promise(file.frames, ended=_ends_with_last_page(path))
    if file.format in ("MP3", "MPEG"):
        return Promise(file.frames, 2 * FRAME_SAMPLES)
    shares = [
        int(told) / int(held)
        for told, held in SIZE.findall(file.extra_info)
        if int(held) and not any(int(told) in sizes for sizes in UNKNOWN)
    ]
    return Promise(round(file.frames * max(shares, default=1.0)))


def _ends_with_last_page(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - OGG_PAGE))
        tail = file.read()
    page = tail.rfind(b"OggS")
    return page >= 0 and len(tail) > page + OGG_FLAGS and bool(tail[page + OGG_FLAGS] & OGG_LAST)

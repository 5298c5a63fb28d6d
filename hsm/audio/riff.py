"""The chunks of a WAV, RF64 or BW64 file: time code and notes of the set, and the loudspeakers' mask.

"RIFF" size "WAVE" | name size bytes (padded to even) | name size bytes | ...
"RF64" -1   "WAVE" | "ds64" size  riff size: 64 bits  data size: 64 bits  ... | ...
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

KEPT = (b"bext", b"iXML")  # a file's time code, and what a recorder notes of takes and tracks
LONG = (b"RF64", b"BW64")
MOST = 1_000  # chunks looked at


def chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Name, begin and size in bytes of each chunk; ends where a size cannot be right."""
    end = file.seek(0, 2)
    file.seek(0)
    head = file.read(36)
    data_size = struct.unpack("<Q", head[28:36])[0] if head[:4] in LONG and len(head) == 36 else 0
    place = 12
    for _ in range(MOST):
        file.seek(place)
        header = file.read(8)
        if len(header) < 8:
            return
        name, size = struct.unpack("<4sI", header)
        if name == b"data":
            size = data_size or size
        yield name, place + 8, size
        if place + 8 + size > end or (name == b"data" and size == 0):
            return
        place += 8 + size + size % 2


def kept_chunks(file: BinaryIO) -> dict[bytes, bytes]:
    """Those of `KEPT` that a file has."""
    end, found = file.seek(0, 2), {}
    for name, place, size in list(chunks(file)):
        if name in KEPT and place + size <= end:
            file.seek(place)
            found[name] = file.read(size)
    return found


def add_chunk(file: BinaryIO, name: bytes, content: bytes) -> None:
    """Write a chunk behind all others of a whole file."""
    end = file.seek(0, 2)
    file.write(bytes(end % 2) + struct.pack("<4sI", name, len(content)) + content + bytes(len(content) % 2))
    size = file.tell() - 8
    file.seek(0)
    long = file.read(4) in LONG
    file.seek(20 if long else 4)
    file.write(struct.pack("<Q" if long else "<I", size))


def set_mask(file: BinaryIO, mask: int) -> None:
    """Note the loudspeakers of a file whose format chunk has room for them."""
    for name, place, size in chunks(file):
        if name == b"fmt " and size >= 40:
            file.seek(place + 20)
            file.write(struct.pack("<I", mask))
            return


def time_reference(bext: bytes) -> int:
    """Samples since midnight at which a file with this chunk begins."""
    return int.from_bytes(bext[338:346], "little")

"""Sound files and videos of any kind, read by FFmpeg (PyAV) block by block: hours take no more memory than seconds.

The content decides, never the name or a tag. A packet that cannot be decoded becomes silence of its length, and a
file that was cut off is taken as far as it goes; `scan` says so. AAC comes with the silence that its coder filled
the last frame up with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.stream import Disposition

from hsm.audio.riff import kept_chunks
from hsm.audio.truncation import Promise, ogg_links, promise_of
from hsm.errors import HSMError
from hsm.records import check_form, heard_apart, not_finite

BLOCK_SAMPLES = 1 << 16  # of one channel, read at a time
LONGEST_GAP_S = 30.0  # a jump in a damaged file's clock beyond this is not believed
MOST_BAD = 50  # packets that cannot be decoded, and more of them than good ones: then it is no sound
# What a search through a folder takes for sound without a look inside.
# fmt: off
ENDINGS = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".spx", ".mp3", ".mp2", ".aif", ".aiff", ".aifc", ".caf", ".w64", ".au",
    ".m4a", ".m4b", ".aac", ".ac3", ".eac3", ".dts", ".wma", ".wv", ".ape", ".tta", ".dsf", ".mp4", ".m4v", ".mov",
    ".mkv", ".mka", ".webm", ".avi", ".3gp", ".ogv", ".flv", ".mpg", ".mpeg", ".ts", ".mts", ".mxf",
)
# fmt: on
# Playlists and scripts could make FFmpeg open other files or addresses: only these containers are let in.
DEMUXERS = (
    "aa,aac,aax,ac3,ac4,ace,acm,act,adx,aea,aiff,aix,alp,amr,apac,apc,ape,apm,aptx,aptx_hd,asf,ast,au,avi,avr,binka,bonk,"
    "caf,dsf,dss,dts,dtshd,dv,eac3,flac,flv,fsb,fwse,g729,gxf,hca,iamf,iff,ircam,kvag,laf,lc3,loas,matroska,mca,mlp,mmf,mov,mp3,"
    "mpc,mpc8,mpeg,mpegts,msf,mtaf,musx,mxf,nistsphere,nsp,nut,nuv,ogg,oma,osq,paf,pva,pvf,qcp,qoa,rka,rm,rso,s337m,sbc,"
    "sds,shn,smjpeg,sol,sox,spdif,swf,tak,truehd,tta,ty,vag,voc,vqf,w64,wav,wavarc,webm,wsd,wtv,wv,wve,xvag,xwma"
)
GAPLESS = ("flac", "ogg")  # a jump of their clock means that something was lost, also where no packet was seen
GAPLESS_S = 0.02
RAW = {"mp3", "aac", "ac3", "eac3", "dts", "loas", "truehd", "mlp"}  # no clock of their own: packets are counted
JUNK = (b"ID3", b"TAG", b"APETAGEX")  # tags between the frames of joined files
LOSSLESS = "flac,alac,als,ape,mlp,osq,ralf,shorten,tak,truehd,tta,wavpack,wmalossless"
SCALES = {"u1": 2.0**-7, "i2": 2.0**-15, "i4": 2.0**-31, "i8": 2.0**-63}  # by dtype
# fmt: off
SPEAKERS = (  # FFmpeg's names of loudspeakers, in the order of the bits of a WAV's channel mask
    "FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR",
)
# fmt: on
TAGS = ("title", "artist", "album", "date", "comment", "genre", "copyright", "track")  # kept
WANTED = "Wanted WAV, FLAC, OGG, MP3, AIFF, M4A, MP4, MKV, WebM or the like; convert it first."


@dataclass(frozen=True, eq=False)
class Recording:
    """A sound file that can be read from its start as often as wanted."""

    path: Path
    rate_hz: int
    channels: int
    depth: str  # "PCM_16", "PCM_24", "PCM_32" or "FLOAT": what keeps its samples as they are
    promise: Promise
    track: int  # the chosen one of its sound tracks, from 1
    note: str  # what the user should know of the choice, else ""
    layout: str  # FFmpeg's name of the loudspeakers
    mask: int  # the same as a WAV's channel mask, 0 where it is not known
    tags: dict[str, str]  # those of `TAGS` that the file has
    chunks: dict[bytes, bytes]  # a WAV's time code and notes of the set, by name, see `hsm.audio.riff`
    links: tuple[tuple[int, int], ...]  # parts [begin, end) in bytes, each whole by itself; several of a chained OGG
    state: tuple[int, ...]  # the file when it was opened; another one is not read on

    @property
    def duration_s(self) -> float:
        """Length in seconds that the header tells, 0 where it tells none that can be trusted."""
        return self.promise.length_samples / self.rate_hz

    def blocks(self) -> Pass:
        """Start a pass over it."""
        return Pass(self)


class Pass:
    """Blocks of a recording in order: float32 (channels, n), any n above 0.

    Raises `HSMError` where the file is no longer what it was, or mostly damage.
    """

    def __init__(self, recording: Recording) -> None:
        self.damage = ""  # what of it became silence, as far as it was read
        self.stopped = ""  # why it could not be read to its end
        self._recording = recording

    def __iter__(self) -> Iterator[np.ndarray]:
        held: list[np.ndarray] = []
        count = done = 0
        self._check_state()
        for piece in self._pieces():
            held.append(piece)
            count += piece.shape[1]
            if count >= BLOCK_SAMPLES:
                yield np.concatenate(held, 1)
                held, done, count = [], done + count, 0
        self._check_state()
        if count:
            yield np.concatenate(held, 1)

    def _check_state(self) -> None:
        path = self._recording.path
        if _state(path) != self._recording.state:
            raise HSMError(f"{path.name}: the file changed while it was read; wait until it is whole and try again.")

    def _pieces(self) -> Iterator[np.ndarray]:
        one = self._recording
        for begin, end in one.links:
            damage = Damage(one.path.name)
            with one.path.open("rb") as file, _opened(_Source(file, begin, end), one.path) as container:
                form = _Form(one.rate_hz, one.channels, one.layout)
                for frame in _frames(container, _tracks(container)[one.track - 1], damage):
                    if isinstance(frame, int):
                        yield np.zeros((one.channels, frame), np.float32)
                    else:
                        yield from form.samples(frame)
                yield from form.rest()
            self.damage, self.stopped = self.damage or damage.told(), damage.stopped


@dataclass
class Damage:
    """What of a container could not be decoded."""

    name: str  # of the file
    good: int = 0  # packets
    bad: int = 0
    first_byte: int | None = None  # where the first packet lies in the file
    places_s: list[float] = field(default_factory=list)
    silence_s: float = 0.0
    stopped: str = ""

    def told(self) -> str:
        """In one line, "" where all is well."""
        if not self.places_s:
            return ""
        where = ", ".join(f"{place:.2f}" for place in self.places_s[:3]) + (", ..." if self.places_s[3:] else "")
        return f"the file is damaged at {where} s; {self.silence_s:.2f} s of it became silence"


@dataclass(frozen=True)
class Extent:
    """What one pass over a recording tells."""

    length_samples: int  # a channel, counted
    peak: float
    warning: str = ""  # what the user should know of a file that seems cut off or is damaged, or of its tracks
    apart: bool = False  # whether its channels are to be heard each by itself, see `heard_apart`


def open_sound(path: str | Path, track: int = 0) -> Recording:
    """Open a file of any format of FFmpeg, or a sound track of a video; of its samples only the first are read.

    `track` counts from 1; by default it is the one that the file marks as such, else the first. Raises `HSMError` for
    no such file or track, what is no sound file, and a rate or a number of channels that is not taken.
    """
    path = Path(path)
    if not path.is_file():
        raise HSMError(f"{path.name}: there is no such file; check the path.")
    state = _state(path)
    if path.stat().st_size == 0:
        raise HSMError(f"{path.name}: the file is empty (0 bytes); export or download it again.")
    with path.open("rb") as file:
        links, ended = ogg_links(file) if file.read(4) == b"OggS" else ([(0, path.stat().st_size)], True)
        with _opened(_Source(file, *links[0]), path) as container:
            tracks = _tracks(container)
            if not tracks:
                raise HSMError(f"{path.name}: the file has no sound track that can be read; choose one that has.")
            if not 0 <= track <= len(tracks):
                raise HSMError(f"{path.name}: got track {track}; the file has {len(tracks)}.")
            chosen = track or 1 + next((i for i, one in enumerate(tracks) if one.disposition & Disposition.default), 0)
            stream = tracks[chosen - 1]
            tags = _tags(container, stream)
            damage = Damage(path.name)
            frame = next((f for f in _frames(container, stream, damage) if not isinstance(f, int)), None)
            if frame is None:
                why = "none of its packets can be decoded" if damage.bad else "the file holds no samples"
                raise HSMError(f"{path.name}: {why}; export or record it again.")
            promise = promise_of(container, stream, damage.first_byte, file)
            chunks = kept_chunks(file) if container.format.name == "wav" else {}
            depth = _depth(stream.codec_context)
    if links[1:] or not ended:
        promise = Promise(ended=ended)
    note = ""
    if len(tracks) > 1 and not track:
        note = f"sound track {chosen} of {len(tracks)} was taken"
    names = [channel.name for channel in frame.layout.channels]
    known = len(set(names)) == len(names) and all(name in SPEAKERS for name in names)
    recording = Recording(
        path=path,
        rate_hz=frame.sample_rate,
        channels=len(names),
        depth=depth,
        promise=promise,
        track=chosen,
        note=note,
        layout=frame.layout.name,
        mask=sum(1 << SPEAKERS.index(name) for name in names) if known else 0,
        tags=tags,
        chunks=chunks,
        links=tuple(links),
        state=state,
    )
    try:
        check_form(recording.channels, recording.rate_hz)
    except HSMError as error:
        raise HSMError(f"{path.name}: {error}") from error
    return recording


def scan(recording: Recording) -> Extent:
    """Read a recording of any length once from end to end, so that its faults show before work is spent on it.

    Raises `HSMError` for no samples, samples that are not finite, or a file that changes meanwhile.
    """
    length, peak, bad = 0, 0.0, 0
    products = np.zeros((recording.channels, recording.channels))
    blocks = recording.blocks()
    for block in blocks:
        length += block.shape[1]
        bad += block.size - int(np.isfinite(block).sum())
        peak = max(peak, float(np.abs(block).max()))
        products += block @ block.T
    if bad:
        raise HSMError(f"{recording.path.name}: {not_finite(bad, length * recording.channels)}")
    return Extent(length, peak, warning_of(recording, blocks, length), heard_apart(products))


def warning_of(recording: Recording, blocks: Pass, length_samples: int) -> str:
    """What the user should know of a recording that was read to its end, "" where all is well."""
    end = recording.promise.broken(length_samples, recording.rate_hz)
    if not end and blocks.stopped and not recording.promise.length_samples:  # else there is all that was promised
        end = f"the file's end cannot be decoded ({blocks.stopped}); what is before it was taken"
    return "; ".join(one for one in (recording.note, blocks.damage, end) if one)


class _Source:
    """A part of a file without the file's name, so that FFmpeg goes by the content."""

    def __init__(self, file: BinaryIO, begin: int, end: int) -> None:
        self._file, self._begin, self._end = file, begin, end
        file.seek(begin)

    def read(self, size: int) -> bytes:
        return self._file.read(max(0, min(size, self._end - self._file.tell())))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: self._begin, os.SEEK_CUR: self._file.tell(), os.SEEK_END: self._end}[whence]
        return self._file.seek(min(max(self._begin, origin + offset), self._end)) - self._begin

    def tell(self) -> int:
        return self._file.tell() - self._begin


@cache
def _audio_decoders() -> str:
    """Names of all decoders of sound: no picture is ever decoded, however large it claims to be."""
    names = []
    for name in av.codecs_available:
        try:
            if av.Codec(name, "r").type == "audio":
                names.append(name)
        except av.codec.codec.UnknownCodecError:  # it only encodes
            continue
    return ",".join(sorted(names))


def _opened(source: _Source, path: Path) -> Any:
    limits = {"format_whitelist": DEMUXERS, "codec_whitelist": _audio_decoders(), "protocol_whitelist": "none"}
    try:
        return av.open(source, container_options=limits, metadata_errors="surrogateescape")
    except (av.FFmpegError, OSError, UnicodeError) as error:
        why = "it holds no samples, its start is damaged, or it is something else"
        raise HSMError(f"{path.name}: this is not a sound file that can be read ({why}). {WANTED}") from error


def _tracks(container: Any) -> list[Any]:
    return [stream for stream in container.streams.audio if stream.codec_context is not None]


def _frames(container: Any, stream: Any, damage: Damage) -> Iterator[Any]:
    """Frames of a track, and for what was lost between two of them the number of samples.

    packet   | ok  | bad | bad | ok  |      a container's clock tells how long the bad ones were;
    yields   frame      2,048  frame        without one, their bytes do
    """
    raw, gapless = container.format.name in RAW, container.format.name in GAPLESS
    lost = size = samples = junk_end = 0  # bytes that were lost since the last good frame; of all good ones
    clock: float | None = None  # when the next frame is due
    if stream.codec_context.name == "flac":  # it does not look at its checksums by itself
        stream.codec_context.options = {"err_detect": "crccheck+explode"}
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            damage.stopped = error.strerror or "no reason told"
            break
        if packet is None:
            break
        if damage.first_byte is None:
            damage.first_byte = packet.pos
        try:
            frames = packet.decode()
        except av.FFmpegError:
            start, place = bytes(packet)[:64], packet.pos or 0
            if raw and start[:3] == b"ID3":
                junk_end = place + 10 + sum((byte & 127) << 7 * i for i, byte in enumerate(reversed(start[6:10])))
            if raw and (place < junk_end or any(mark in start for mark in JUNK)):
                continue
            lost += packet.size
            damage.bad += 1
            if damage.bad > MOST_BAD and damage.bad > damage.good:
                raise HSMError(
                    f"{damage.name}: most of the file cannot be decoded; download or export it again."
                ) from None
            continue
        damage.good += 1
        for frame in frames:
            told = frame.time  # in seconds
            jump = 0 if told is None or clock is None else round((told - clock) * frame.sample_rate)
            if gapless and jump > GAPLESS_S * frame.sample_rate:
                gap = jump
            elif lost and samples and packet.size:  # behind the last packet nothing is missing any more
                by_bytes = max(1, round(lost * samples / size / frame.samples)) * frame.samples
                gap = by_bytes if raw or told is None or clock is None else jump
            else:
                gap = 0
            if 0 < gap <= LONGEST_GAP_S * frame.sample_rate:
                damage.places_s.append(samples / frame.sample_rate + damage.silence_s)
                damage.silence_s += gap / frame.sample_rate
                yield gap
            lost = lost if packet.size == 0 else 0
            if told is None:
                told = clock
            clock = None if told is None else told + frame.samples / frame.sample_rate
            samples += frame.samples
            yield frame
        size += packet.size
    if lost:
        damage.stopped = damage.stopped or "invalid data"


class _Form:
    """Brings frames into a recording's form, also where they change on the way."""

    def __init__(self, rate_hz: int, channels: int, layout: str) -> None:
        self._rate_hz, self._channels, self._layout = rate_hz, channels, layout
        self._resampler: Any = None
        self._from: tuple[Any, ...] = ()

    def samples(self, frame: Any) -> Iterator[np.ndarray]:
        form = (frame.sample_rate, frame.layout.name, frame.format.name)
        if form != self._from:
            yield from self.rest()
            self._from = form
            if frame.sample_rate != self._rate_hz or frame.layout.nb_channels != self._channels or "64" in form[2]:
                layout = self._channels if "channels" in self._layout else self._layout
                self._resampler = av.AudioResampler("fltp", layout, self._rate_hz)
        if self._resampler is not None:
            yield from (piece.to_ndarray() for piece in self._resampler.resample(frame))
            return
        array = frame.to_ndarray()
        if frame.format.is_packed:
            array = array.reshape(-1, self._channels).T
        scale = SCALES.get(array.dtype.str[1:])
        array = array.astype(np.float32, order="C")
        if scale is not None:
            array = (array - 128) * np.float32(scale) if scale == SCALES["u1"] else array * np.float32(scale)
        yield array

    def rest(self) -> Iterator[np.ndarray]:
        if self._resampler is not None:
            yield from (piece.to_ndarray() for piece in self._resampler.resample(None))
        self._resampler = None


def _depth(codec: Any) -> str:
    """What keeps a track's samples as they are: floating point for what was coded with loss."""
    name, bits = codec.name, codec.format.bits
    if name.startswith("pcm_"):
        if name.startswith("pcm_f"):
            return "FLOAT"
        return "PCM_24" if "24" in name else "PCM_16" if bits <= 16 else "PCM_32"
    if name not in LOSSLESS.split(","):
        return "FLOAT"
    return "PCM_16" if bits <= 16 else "PCM_24"


def _tags(container: Any, stream: Any) -> dict[str, str]:
    """A file's own words; those that are not UTF-8 are read as Latin-1."""
    found = {key.lower(): value for key, value in {**container.metadata, **stream.metadata}.items()}
    return {
        key: found[key].encode("utf-8", "surrogateescape").decode("latin-1")
        if any("\udc80" <= letter <= "\udcff" for letter in found[key])
        else found[key]
        for key in TAGS
        if found.get(key)
    }


def _state(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError as error:
        raise HSMError(f"{path.name}: there is no such file any more; leave it there until all is done.") from error
    return (found.st_ino, found.st_size, found.st_mtime_ns)

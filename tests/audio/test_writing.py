"""Sound files that exist whole or not at all, and keep what their source says of itself."""

from __future__ import annotations

import errno
import struct
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from hsm import Audio, HSMError
from hsm.audio import writing
from hsm.audio.reading import open_sound, scan
from hsm.audio.writing import SoundWriter, save_parts, sound_writers

RATE_HZ = 48_000


def noise(channels: int = 1, length: int = 5_000, level: float = 0.9) -> np.ndarray:
    return (level * np.random.default_rng(0).uniform(-1, 1, (channels, length))).astype(np.float32)


@pytest.mark.parametrize(
    ("depth", "step"), [("PCM_16", 2.0**-15), ("PCM_24", 2.0**-23), ("PCM_32", 2.0**-23), ("FLOAT", 0)]
)
@pytest.mark.parametrize("ending", [".wav", ".flac"])
def test_what_write_returns_is_what_a_reader_gets(tmp_path: Path, depth: str, step: float, ending: str) -> None:
    if depth not in writing.FORMATS[ending]:
        pytest.skip("a FLAC has no such depth")
    samples, path = noise(2), tmp_path / f"a{ending}"
    samples[0, :2] = 1.0, -1.0
    with SoundWriter(path, RATE_HZ, 2, depth, samples.shape[1]) as writer:
        written = np.concatenate([writer.write(block) for block in np.array_split(samples, 3, axis=1)], axis=1)
    found, rate_hz = soundfile.read(path, dtype="float32")
    assert (rate_hz, soundfile.info(path).subtype) == (RATE_HZ, depth)
    assert np.array_equal(found.T, written)
    assert np.abs(written - samples).max() <= step


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_nothing_behind(tmp_path: Path, fault: type[BaseException]) -> None:
    def fail(writer: SoundWriter) -> None:
        with writer:
            writer.write(np.zeros((1, 5), np.float32))
            assert not (tmp_path / "a.wav").exists(), "no name before it is whole"
            raise fault

    with pytest.raises(fault):
        fail(SoundWriter(tmp_path / "a.wav", 8_000, 1, "FLOAT", 10))
    assert not list(tmp_path.iterdir())


def test_a_file_too_large_for_a_wavs_sizes_is_an_rf64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "WAV_BYTES", 1_000)
    with SoundWriter(tmp_path / "a.wav", 8_000, 1, "PCM_16", 500) as writer:
        writer.write(np.full((1, 500), 0.5, np.float32))
    assert soundfile.info(tmp_path / "a.wav").format == "RF64"
    assert soundfile.read(tmp_path / "a.wav")[0].tolist() == [0.5] * 500


@pytest.mark.parametrize(
    ("name", "channels", "depth", "told"),
    [
        ("a.mp3", 1, "FLOAT", r"got ending '.mp3'; wanted one of .wav, .flac"),
        ("a.flac", 1, "FLOAT", "a .flac cannot be FLOAT; wanted one of PCM_16, PCM_24"),
        ("a.flac", 9, "PCM_16", "got 9 channels; a .flac holds 8"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, name: str, channels: int, depth: str, told: str) -> None:
    with pytest.raises(HSMError, match=told):
        SoundWriter(tmp_path / name, 8_000, channels, depth, 10)


@pytest.mark.parametrize("ending", [".wav", ".flac"])
@pytest.mark.parametrize("loud", ["target", "residual"])
def test_parts_that_an_integer_cannot_hold_are_written_in_floating_point_and_still_add_up(
    tmp_path: Path, ending: str, loud: str
) -> None:
    mixture = np.rint(noise(2, 200_000) * 2**15) / 2**15
    part = noise(2, 200_000, 0.05)
    part[0, 150_000] = 1.4 if loud == "target" else mixture[0, 150_000] - 1.4  # after blocks that were whole numbers
    paths = [tmp_path / f"target{ending}", tmp_path / f"residual{ending}"]
    save_parts(Audio(mixture, RATE_HZ), [Audio(part, RATE_HZ)], paths, "PCM_16")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["residual.wav", "target.wav"]
    target, residual = (Audio.load(path.with_suffix(".wav")).samples for path in paths)
    assert {open_sound(path.with_suffix(".wav")).depth for path in paths} == {"FLOAT"}
    assert np.abs(target + residual - mixture).max() < 1e-6
    assert (target if loud == "target" else residual)[0, 150_000] == pytest.approx(1.4)
    assert np.array_equal(target[:, :60_000], np.rint(part[:, :60_000] * 2**15) / 2**15)


def test_parts_add_up_to_the_bit_also_of_32_bit_integers(tmp_path: Path) -> None:
    mixture = np.rint(noise(1, 70_000) * 2**23) / 2**23
    paths = [tmp_path / "target.wav", tmp_path / "residual.wav"]
    save_parts(Audio(mixture, RATE_HZ), [Audio(noise(1, 70_000, 0.05), RATE_HZ)], paths, "PCM_32")
    target, residual = (soundfile.read(path, dtype="int32")[0].astype(np.int64) for path in paths)
    assert np.array_equal(target + residual, np.rint(mixture[0] * 2.0**31).astype(np.int64))


@pytest.mark.parametrize("name", ["a.flac", "a.wav"])
@pytest.mark.parametrize("length", [9_000, 900_000])
def test_a_disk_that_is_full_at_once_or_at_the_very_end_leaves_no_file_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, length: int
) -> None:
    writer = SoundWriter(tmp_path / name, RATE_HZ, 1, "PCM_16", 18_000 + length)
    writer.write(noise(1, 9_000))
    monkeypatch.setattr(writer._sink, "_file", FullDisk(writer._sink._file))
    with pytest.raises(HSMError, match=r"a\.\w+: cannot be written on \(No space left on device\)"), writer:
        writer.write(noise(1, length))
    assert not list(tmp_path.iterdir())


class FullDisk:
    """A file that takes nothing more."""

    def __init__(self, file: object) -> None:
        self.close = file.close  # type: ignore[attr-defined]

    def write(self, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def bwf(path: Path, channels: int = 1, mask: int = 0) -> Path:
    """A WAV with a time code, notes of the set, a title and a mask."""
    soundfile.write(path, noise(channels).T, RATE_HZ, "PCM_24", format="WAVEX" if mask else "WAV")
    data = bytearray(path.read_bytes())
    if mask:
        data[40:44] = struct.pack("<I", mask)
    bext = bytearray(602)
    bext[:5], bext[338:346] = b"scene", struct.pack("<Q", 172_800_000)
    words = b"INFOINAM" + struct.pack("<I", 6) + b"Take\xc3\xa9" + b"IART" + struct.pack("<I", 4) + b"Anna"
    for name, content in ((b"bext", bytes(bext)), (b"iXML", b"<BWFXML/>"), (b"LIST", words)):
        data += struct.pack("<4sI", name, len(content)) + content + bytes(len(content) % 2)
    data[4:8] = struct.pack("<I", len(data) - 8)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("long", [False, True])
def test_a_wav_keeps_time_code_title_and_loudspeakers_of_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long: bool
) -> None:
    if long:
        monkeypatch.setattr(writing, "WAV_BYTES", 1_000)
    mask = 0x0F  # front left, right, centre and bass
    source = open_sound(bwf(tmp_path / "a.wav", 4, mask))
    paths = [tmp_path / "target.wav", tmp_path / "residual.wav"]
    sound = Audio.load(tmp_path / "a.wav")
    save_parts(sound, [sound], paths, "PCM_24", source)
    for path in paths:
        found = open_sound(path)
        assert found.chunks == source.chunks
        assert int.from_bytes(found.chunks[b"bext"][338:346], "little") == 172_800_000
        assert (found.tags["title"], found.tags["artist"]) == ("Takeé", "Anna")
        assert found.mask == mask
        assert soundfile.info(path).format == ("RF64" if long else "WAVEX")
        assert scan(found).warning == ""
    assert np.array_equal(Audio.load(paths[0]).samples, sound.samples)
    with av.open(str(paths[0])) as another:
        assert another.metadata["time_reference"] == "172800000"


def test_a_flac_keeps_the_words_and_tells_the_time_code_in_its_comment(tmp_path: Path) -> None:
    source = open_sound(bwf(tmp_path / "a.wav"))
    with SoundWriter(tmp_path / "a.flac", RATE_HZ, 1, "PCM_24", 5_000, source) as writer:
        writer.write(noise())
    found = open_sound(tmp_path / "a.flac").tags
    assert (found["title"], found["comment"]) == ("Takeé", "scene; BWF time reference: 172800000 samples")


def test_a_source_is_never_overwritten_and_no_file_is_named_twice(tmp_path: Path) -> None:
    source = open_sound(bwf(tmp_path / "a.wav"))
    (tmp_path / "link.wav").symlink_to(tmp_path / "a.wav")
    for names in (("a.wav", "b.wav"), ("b.wav", "link.wav"), ("b.wav", "b.wav")):
        with (
            pytest.raises(HSMError, match="the recording itself, or named twice"),
            sound_writers([tmp_path / name for name in names], RATE_HZ, 1, "PCM_24", 5, source),
        ):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "link.wav"]


def test_two_writers_of_one_file_never_mix_and_one_that_ends_early_leaves_the_other_alone(tmp_path: Path) -> None:
    one, other = (SoundWriter(tmp_path / "a.wav", RATE_HZ, 1, "FLOAT", 20) for _ in range(2))
    for _ in range(2):
        one.write(np.full((1, 10), 0.1, np.float32))
        other.write(np.full((1, 10), 0.2, np.float32))
    with pytest.raises(RuntimeError), one:
        raise RuntimeError
    other.finish()
    assert np.array_equal(Audio.load(tmp_path / "a.wav").samples, np.full((1, 20), 0.2, np.float32))
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]

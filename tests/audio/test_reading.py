"""Every format that is read, made on the spot, and what is said of files that cannot be, or only in part."""

from __future__ import annotations

import os
import resource
import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from coded_files import RATE_HZ, TONE, add_track, coded, encoded, fill_track

from hsm import Audio, HSMError
from hsm.audio import load_audio
from hsm.audio.reading import Extent, open_sound, scan

pytestmark = pytest.mark.filterwarnings("ignore:.*the file:UserWarning")
TWO = np.stack([TONE, -TONE])  # (2, S)
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 2 * RATE_HZ)).astype(np.float32)


def scanned(path: Path) -> Extent:
    return scan(open_sound(path))


@pytest.mark.parametrize(
    ("name", "codec", "video", "depth", "tolerance"),
    [
        ("a.m4a", "aac", False, "FLOAT", 0.02),
        ("a.mp4", "aac", True, "FLOAT", 0.02),
        ("a.mov", "pcm_s24le", False, "PCM_24", 1e-6),
        ("b.m4a", "alac", False, "PCM_24", 1e-6),
        ("a.mkv", "flac", True, "PCM_16", 1e-4),
        ("a.webm", "libopus", False, "FLOAT", 0.05),
        ("a.ts", "mp2", False, "FLOAT", 0.02),
        ("a.flv", "aac", False, "FLOAT", 0.02),
        ("a.eac3", "eac3", False, "FLOAT", 0.05),
    ],
)
def test_containers_give_the_sound_they_were_made_from(
    tmp_path: Path, name: str, codec: str, video: bool, depth: str, tolerance: float
) -> None:
    path = coded(tmp_path / name, codec, video=video)
    recording = open_sound(path)
    assert (recording.rate_hz, recording.channels, recording.depth) == (RATE_HZ, 2, depth)
    found = Audio.load(path)
    assert (scanned(path).warning, found.warning) == ("", "")
    assert found.length_samples == scan(recording).length_samples
    lossy = depth == "FLOAT"
    assert abs(found.length_samples - TONE.size) < (3 * 2_048 if lossy else 1), "coders fill up their last frame"
    wave = found.samples[0].astype(np.float64)
    lag = int(np.argmax([wave[i : i + 40_000] @ TONE[:40_000] for i in range(2_200 if lossy else 1)]))
    assert np.abs(wave[lag + 2_000 : lag + 40_000] - TONE[2_000:40_000]).max() < tolerance


@pytest.mark.parametrize(
    ("ending", "subtype", "depth"),
    [
        ("wav", "PCM_U8", "PCM_16"),
        ("wav", "PCM_16", "PCM_16"),
        ("wav", "PCM_24", "PCM_24"),
        ("wav", "PCM_32", "PCM_32"),
        ("wav", "FLOAT", "FLOAT"),
        ("wav", "DOUBLE", "FLOAT"),
        ("flac", "PCM_24", "PCM_24"),
        ("aiff", "PCM_16", "PCM_16"),
        ("au", "PCM_16", "PCM_16"),
        ("caf", "PCM_24", "PCM_24"),
        ("w64", "PCM_24", "PCM_24"),
        ("wav", "MS_ADPCM", "FLOAT"),
        ("wav", "ULAW", "PCM_16"),
    ],
)
def test_samples_are_those_that_another_decoder_gives(tmp_path: Path, ending: str, subtype: str, depth: str) -> None:
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, np.stack([TONE, NOISE[0, : TONE.size]], 1), RATE_HZ, subtype=subtype)
    wanted, _ = soundfile.read(path, dtype="float32", always_2d=True)
    found = Audio.load(path)
    assert (open_sound(path).depth, found.rate_hz, found.warning) == (depth, RATE_HZ, "")
    assert np.array_equal(found.samples[:, : len(wanted)], wanted.T)
    assert found.length_samples - len(wanted) in range(2_048 if subtype == "MS_ADPCM" else 1)


@pytest.mark.parametrize(("form", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")])
def test_lossy_formats_have_the_length_they_were_made_with(tmp_path: Path, form: str, subtype: str) -> None:
    (tmp_path / "a").write_bytes(encoded(NOISE, RATE_HZ, form, subtype))
    assert scanned(tmp_path / "a") == Extent(NOISE.shape[1], pytest.approx(0.9, abs=0.4), "")


def noise(seed: int, channels: int = 1, seconds: float = 1.5, rate_hz: int = RATE_HZ) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (channels, round(seconds * rate_hz)))


@pytest.mark.parametrize(
    ("form", "subtype", "rate_hz"),
    [("OGG", "VORBIS", 44_100), ("OGG", "OPUS", 48_000), ("FLAC", "PCM_16", 44_100), ("MP3", "MPEG_LAYER_III", 44_100)],
)
def test_of_files_that_were_joined_every_part_is_read(tmp_path: Path, form: str, subtype: str, rate_hz: int) -> None:
    parts = [noise(seed, 2, rate_hz=rate_hz) * level for seed, level in ((1, 1.0), (2, 0.1), (3, 1.0))]
    (tmp_path / "a").write_bytes(b"".join(encoded(part, rate_hz, form, subtype) for part in parts))
    found = Audio.load(tmp_path / "a")
    wanted = sum(part.shape[1] for part in parts)
    assert abs(found.length_samples - wanted) <= (3 * 2_304 if form == "MP3" else 0)
    assert found.warning == ""
    thirds = [np.abs(piece[:, 5_000:-5_000]).mean() for piece in np.array_split(found.samples, 3, axis=1)]
    assert thirds[1] < 0.2 * thirds[0] and thirds[2] > 0.8 * thirds[0]


def test_a_chained_ogg_whose_rate_and_channels_change_keeps_its_time(tmp_path: Path) -> None:
    first, second = encoded(noise(1, 2, 1.0, 44_100), 44_100, "OGG"), encoded(noise(2, 1, 1.0, 22_050), 22_050, "OGG")
    (tmp_path / "a.ogg").write_bytes(first + second)
    found = Audio.load(tmp_path / "a.ogg")
    assert (found.rate_hz, found.channels) == (44_100, 2)
    assert found.length_samples == pytest.approx(2 * 44_100, abs=64)
    assert np.abs(found.samples[:, -20_000:]).max() > 0.2


def without_first_frame(mp3: bytes) -> bytes:
    """An MP3 less the frame in which its coder noted the number of frames."""
    second = mp3.index(mp3[:2], max(mp3.find(b"Xing"), mp3.find(b"Info")))
    return mp3[second:]


def test_an_mp3_of_variable_rate_that_tells_no_length_is_read_to_its_end(tmp_path: Path) -> None:
    quiet = np.concatenate([0.001 * NOISE, NOISE], 1)
    data = encoded(quiet, RATE_HZ, "MP3", bitrate_mode="VARIABLE", compression_level=0.9)
    (tmp_path / "a.mp3").write_bytes(without_first_frame(data))
    recording = open_sound(tmp_path / "a.mp3")
    assert recording.duration_s == 0, "nothing that it tells can be trusted"
    extent = scan(recording)
    assert extent.length_samples == pytest.approx(quiet.shape[1], abs=4 * 1_152)
    assert extent.warning == ""


def test_a_flac_of_unknown_length_is_read_to_its_end(tmp_path: Path) -> None:
    data = bytearray(encoded(NOISE, RATE_HZ, "FLAC"))
    data[21] &= 0xF0  # the number of samples, 36 bits
    data[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(data)
    assert open_sound(tmp_path / "a.flac").duration_s == 0
    assert (scanned(tmp_path / "a.flac").length_samples, scanned(tmp_path / "a.flac").warning) == (NOISE.shape[1], "")


def wav_with_sizes(riff: int | None, data: int | None, samples: np.ndarray = NOISE) -> bytes:
    wav = bytearray(encoded(samples, RATE_HZ, "WAV", "PCM_16"))
    place = wav.index(b"data") + 4
    for begin, size in ((4, riff), (place, data)):
        if size is not None:
            wav[begin : begin + 4] = struct.pack("<I", size)
    return bytes(wav)


@pytest.mark.parametrize("size", [0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFF024])
def test_a_wav_that_was_streamed_and_so_tells_no_size_is_whole(tmp_path: Path, size: int) -> None:
    (tmp_path / "a.wav").write_bytes(wav_with_sizes(min(0xFFFFFFFF, size + 36), size))
    assert open_sound(tmp_path / "a.wav").duration_s == 0
    assert (scanned(tmp_path / "a.wav").length_samples, scanned(tmp_path / "a.wav").warning) == (NOISE.shape[1], "")


@pytest.mark.parametrize("form", ["WAV", "W64", "RF64", "FLAC", "AIFF", "MP3"])
def test_the_length_in_a_header_that_can_be_trusted_is_told_before_a_sample_is_read(tmp_path: Path, form: str) -> None:
    (tmp_path / "a").write_bytes(encoded(NOISE, RATE_HZ, form))
    assert open_sound(tmp_path / "a").duration_s == NOISE.shape[1] / RATE_HZ


def test_a_riff_size_that_is_a_few_bytes_off_is_no_cut(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav_with_sizes(NOISE.shape[1] * 2 + 36 + 6, None))
    assert scanned(tmp_path / "a.wav").warning == ""


def test_a_wav_whose_recorder_died_before_it_wrote_a_size_is_read_to_its_end_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav_with_sizes(0, 0))
    extent = scanned(tmp_path / "a.wav")
    assert extent.length_samples == NOISE.shape[1]
    assert "never completed" in extent.warning


CUT = {
    **{f"a.{ending}": "" for ending in ("wav", "aiff", "au", "w64", "rf64", "caf", "flac", "mp3", "ogg", "opus")},
    **{"a.mka": "flac", "a.wv": "wavpack", "a.tta": "tta", "a.aac": "aac", "a.m4a": "aac"},
}


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_was_cut_off_is_taken_as_far_as_it_goes_and_says_so(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.m4a":
        with av.open(str(path), "w", format="mp4", container_options={"movflags": "faststart"}) as container:
            add_track(container, "aac", np.tile(NOISE, (2, 1)))
    elif CUT[name]:
        with av.open(str(path), "w") as container:
            add_track(container, CUT[name], np.tile(NOISE, (2, 1)))
    elif name == "a.opus":
        path.write_bytes(encoded(NOISE, RATE_HZ, "OGG", "OPUS"))
    else:
        path.write_bytes(encoded(NOISE, RATE_HZ, path.suffix[1:].upper()))
    whole = scanned(path)
    assert whole.warning == ""
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    extent = scanned(path)
    assert 0.3 < extent.length_samples / whole.length_samples < 0.8
    assert ("cut off" in extent.warning) != (name == "a.aac"), "an AAC without a container tells no length"
    assert extent.warning
    with pytest.warns(UserWarning, match=r"cut off|end cannot be decoded"):
        assert Audio.load(path).warning == extent.warning


@pytest.mark.parametrize("name", ["a.m4a", "b.m4a", "a.mka", "a.flac", "a.wv", "a.mp3"])
def test_a_packet_that_cannot_be_decoded_becomes_silence_of_its_length_and_is_told(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    codec = {"a.m4a": "aac", "b.m4a": "alac", "a.mka": "flac", "a.wv": "wavpack"}.get(name)
    if codec:
        with av.open(str(path), "w") as container:
            add_track(container, codec, np.tile(NOISE, (2, 1)))
    else:
        path.write_bytes(encoded(NOISE, RATE_HZ, path.suffix[1:].upper()))
    whole = Audio.load(path)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    if name == "a.mp3":
        data[middle : middle + 4_000] = bytes(4_000)
    else:
        data[middle : middle + 40] = bytes(byte ^ 0x5A for byte in data[middle : middle + 40])
    path.write_bytes(data)
    found = Audio.load(path)
    assert "the file is damaged at " in found.warning
    assert abs(found.length_samples - whole.length_samples) <= (2 * 1_152 if name == "a.mp3" else 48)
    if name not in ("a.m4a", "a.mp3"):  # noise that their decoders draw differs
        tail = slice(-RATE_HZ // 2, None)
        assert np.array_equal(found.samples[:, tail], whole.samples[:, tail]), "what follows keeps its time"


def test_tags_between_joined_mp3s_are_no_damage(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).bytes(100_000)
    size = bytes(len(picture) >> shift & 127 for shift in (21, 14, 7, 0))
    part = encoded(NOISE, RATE_HZ, "MP3")
    (tmp_path / "a.mp3").write_bytes(part + b"ID3\x04\x00\x00" + size + picture + part)
    extent = scanned(tmp_path / "a.mp3")
    assert extent.length_samples == pytest.approx(2 * NOISE.shape[1], abs=3 * 1_152)
    assert extent.warning == ""


@pytest.mark.parametrize("name", ["a.wav", "a.mp3", "a", "a.gsm", "\udce9.flac", "a.jpg"])
def test_the_content_decides_and_not_the_name(tmp_path: Path, name: str) -> None:
    path = coded(tmp_path / "a.m4a", "alac").rename(tmp_path / name)
    assert Audio.load(path).length_samples == TONE.size


@pytest.mark.parametrize("name", ["a.au", "a.gsm", "a.mp3", "a.wav", "a.raw", "a.aac"])
@pytest.mark.parametrize("content", [b"this is a letter, not a sound\n", b"<html>404</html>\n", b"%PDF-1.4 \x00\xff\n"])
def test_what_is_no_sound_is_refused_whatever_its_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content * 300)
    with pytest.raises(HSMError, match=rf"^{name}: this is not a sound file that can be read"):
        open_sound(tmp_path / name)


def test_random_bytes_end_in_a_sentence(tmp_path: Path) -> None:
    for seed in range(6):
        start = [b"RIFF", b"OggS", b"fLaC", b"ID3\x03", b"\xff\xfb\x90\x00", b"\xff\xf1\x50\x80"][seed % 6]
        (tmp_path / "a").write_bytes(start + np.random.default_rng(seed).bytes(8_000))
        with pytest.raises(HSMError, match=r"^a: "):
            scanned(tmp_path / "a")


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    path = coded(tmp_path / "a.mp4", "", video=True, sound=False)
    with pytest.raises(HSMError, match=r"a\.mp4: the file has no sound track"):
        open_sound(path)


@pytest.mark.parametrize("name", ["list.m3u8", "list.wav"])
@pytest.mark.parametrize("kind", ["hls", "concat"])
def test_a_playlist_cannot_open_other_files(tmp_path: Path, name: str, kind: str) -> None:
    coded(tmp_path / "a.m4a", "aac")
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{tmp_path}/a.m4a\n"
    (tmp_path / name).write_text(hls if kind == "hls" else "ffconcat version 1.0\nfile a.m4a\n")
    with pytest.raises(HSMError, match="not a sound file that can be read"):
        open_sound(tmp_path / name)


def test_a_huge_picture_track_costs_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as container:
        picture = container.add_stream("png", rate=5, width=6_000, height=6_000, pix_fmt="gray")
        track = container.add_stream("aac", rate=RATE_HZ, layout="stereo")
        picture.codec_context.options = {"compression_level": "1", "pred": "none"}
        frame = av.VideoFrame.from_ndarray(np.zeros((6_000, 6_000), np.uint8), "gray")
        container.mux([*picture.encode(frame), *picture.encode(None)])
        fill_track(container, track, TWO, RATE_HZ, "stereo")
    del frame
    child = os.fork()
    if child == 0:  # a process of its own, so that its peak is its own
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        length = scanned(path).length_samples
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        os._exit(0 if length > TONE.size and after - before < 20_000 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "kilobytes: the picture alone takes 36,000"


def test_many_channels_at_a_high_rate_are_refused_where_a_length_is_given(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.zeros((60_000, 8)), 384_000, subtype="PCM_16")
    assert load_audio(tmp_path / "a.flac").channels == 8
    with pytest.raises(HSMError, match=r"8 channels at 384000 Hz are too much for 0\.0033.* minutes"):
        load_audio(tmp_path / "a.flac", 0.2)
    with pytest.raises(HSMError, match="too long"):
        load_audio(tmp_path / "a.flac", 0.1)
    for rate_hz in (48_000, 96_000):
        soundfile.write(tmp_path / f"{rate_hz}.wav", np.zeros((rate_hz, 2)), rate_hz)
    assert load_audio(tmp_path / "48000.wav", 1.0).duration_s == 1.0
    with pytest.raises(HSMError, match="2 channels at 96000 Hz are too much"):
        load_audio(tmp_path / "96000.wav", 1.0)


@pytest.mark.parametrize(
    ("form", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("FLAC", "PCM_16"), ("WAVEX", "PCM_16")]
)
def test_the_channels_of_surround_come_in_a_wavs_order(tmp_path: Path, form: str, subtype: str) -> None:
    if form == "OGG":
        (tmp_path / "a").write_bytes(surround_ogg(subtype))
    else:
        (tmp_path / "a").write_bytes(encoded(tones(), RATE_HZ, form, subtype))
    found = Audio.load(tmp_path / "a")
    spectra = np.abs(np.fft.rfft(found.samples[:, 10_000:34_000]))
    heard_hz = spectra.argmax(1) * 2  # 24,000 samples are half a second
    assert [int(hz) for hz in heard_hz] == [300, 400, 500, 60, 700, 800]
    assert open_sound(tmp_path / "a").mask in (0x3F, 0x60F), "the two at the back may be at the sides"


def tones() -> np.ndarray:
    """Six tones: front left, right, centre, bass, back left, right."""
    times = np.arange(RATE_HZ) / RATE_HZ
    return np.stack([0.3 * np.sin(2 * np.pi * hz * times) for hz in (300, 400, 500, 60, 700, 800)])


def surround_ogg(subtype: str) -> bytes:
    """In Vorbis' order of channels: front left, centre, right, back left, right, bass."""
    return encoded(tones()[[0, 2, 1, 4, 5, 3]], RATE_HZ, "OGG", subtype)


def test_of_two_tracks_the_default_one_is_taken_or_the_one_asked_for_and_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.mka"
    with av.open(str(path), "w") as container:
        tracks = [container.add_stream("flac", rate=RATE_HZ, layout="mono") for _ in range(2)]
        tracks[0].disposition = av.stream.Disposition(0)
        tracks[1].disposition = av.stream.Disposition.default
        for track, level in zip(tracks, (0.1, 1.0), strict=True):
            fill_track(container, track, level * NOISE[:, :RATE_HZ], RATE_HZ, "mono")
    assert scanned(path) == Extent(RATE_HZ, pytest.approx(0.5, abs=0.01), "sound track 2 of 2 was taken")
    assert scan(open_sound(path, 1)) == Extent(RATE_HZ, pytest.approx(0.05, abs=0.01), "")
    with pytest.raises(HSMError, match="got track 3; the file has 2"):
        open_sound(path, 3)


def test_a_tag_behind_the_last_frame_is_no_damage(tmp_path: Path) -> None:
    tag = b"APETAGEX" + struct.pack("<IIII", 2000, 51, 1, 1 << 31) + bytes(8)
    part = encoded(NOISE, RATE_HZ, "MP3")
    (tmp_path / "a.mp3").write_bytes(without_first_frame(part) + tag + b"\7\0\0\0\0\0\0\0Titlesomewhat" + tag)
    assert scanned(tmp_path / "a.mp3").warning == ""


def test_a_tag_that_is_not_utf_8_stops_nothing(tmp_path: Path) -> None:
    path = coded(tmp_path / "a.m4a", "aac", title="Video")
    path.write_bytes(path.read_bytes().replace(b"Video", b"Vid\xe9o"))
    assert open_sound(path).tags["title"] == "Vidéo"
    assert Audio.load(path).length_samples >= TONE.size


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def replace(path: Path) -> None:
    other = path.with_name("other.wav")
    other.write_bytes(wav_with_sizes(None, None, -NOISE))
    os.replace(other, path)


@pytest.mark.parametrize("change", [shrink, replace, lambda path: path.write_bytes(path.read_bytes() * 2), Path.unlink])
@pytest.mark.parametrize("when", ["between two passes", "within one"])
def test_a_file_that_changes_while_it_is_read_is_told(
    tmp_path: Path, change: Callable[[Path], object], when: str
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wav_with_sizes(None, None))
    recording = open_sound(path)
    blocks = iter(recording.blocks())
    if when == "within one":
        next(blocks)
    change(path)
    with pytest.raises(HSMError, match=r"a\.wav: (the file changed while it was read|there is no such file any more)"):
        list(blocks)


def test_samples_that_are_no_numbers_are_counted(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.0, np.nan, np.inf, 0.1]), RATE_HZ, subtype="FLOAT")
    with pytest.raises(HSMError, match=r"a\.wav: audio: 2 of 4 samples are not finite"):
        scanned(tmp_path / "a.wav")

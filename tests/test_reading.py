"""Every format that is read, made on the spot, and what is said of files that cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from coded_files import RATE_HZ, TONE, coded

from hsm import Audio, HSMError
from hsm.reading import open_sound, survey


@pytest.mark.parametrize(
    ("name", "codec", "video", "depth", "tolerance"),
    [
        ("a.m4a", "aac", False, "FLOAT", 0.02),
        ("a.mp4", "aac", True, "FLOAT", 0.02),
        ("a.mov", "pcm_s24le", False, "PCM_24", 1e-6),
        ("b.m4a", "alac", False, "PCM_24", 1e-6),
        ("a.mkv", "flac", True, "PCM_16", 1e-4),
        ("a.webm", "libopus", False, "FLOAT", 0.05),
    ],
)
def test_containers_give_the_sound_they_were_made_from(
    tmp_path: Path, name: str, codec: str, video: bool, depth: str, tolerance: float
) -> None:
    path = coded(tmp_path / name, codec, video=video)
    recording = open_sound(path)
    assert (recording.rate_hz, recording.channels, recording.depth) == (RATE_HZ, 2, depth)
    found = Audio.load(path)
    assert found.length_samples == survey(recording).length_samples
    assert 0 <= found.length_samples - TONE.size < (1_024 if codec == "aac" else 1), "AAC fills up its last frame"
    assert np.abs(found.samples[:, 2_000 : TONE.size - 2_000] - TONE[2_000:-2_000]).max() < tolerance


def test_raw_aac_is_read_with_the_frames_its_coder_added(tmp_path: Path) -> None:
    found = Audio.load(coded(tmp_path / "a.aac", "aac"))
    assert 0 <= found.length_samples - TONE.size < 3 * 1_024


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
        ("ogg", "VORBIS", "FLOAT"),
        ("mp3", "MPEG_LAYER_III", "FLOAT"),
    ],
)
def test_formats_of_libsndfile_tell_their_depth_and_length(
    tmp_path: Path, ending: str, subtype: str, depth: str
) -> None:
    path = tmp_path / f"a.{ending}"
    soundfile.write(path, np.stack([TONE, TONE], 1), RATE_HZ, subtype=subtype)
    recording = open_sound(path)
    extent = survey(recording)
    assert (recording.depth, extent.length_samples) == (depth, TONE.size)
    assert extent.peak == pytest.approx(0.3, abs=0.02)


def test_the_content_decides_and_not_the_ending(tmp_path: Path) -> None:
    path = coded(tmp_path / "a.m4a", "alac").rename(tmp_path / "a.wav")
    assert Audio.load(path).length_samples == TONE.size


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    path = coded(tmp_path / "a.mp4", "", video=True, sound=False)
    with pytest.raises(HSMError, match=r"a\.mp4: the file has no sound track"):
        open_sound(path)


@pytest.mark.parametrize("name", ["list.m3u8", "list.wav"])
def test_a_playlist_cannot_open_other_files(tmp_path: Path, name: str) -> None:
    coded(tmp_path / "a.m4a", "aac")
    (tmp_path / name).write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{tmp_path}/a.m4a\n")
    with pytest.raises(HSMError, match="not a sound file that can be read"):
        open_sound(tmp_path / name)


@pytest.mark.parametrize(("name", "codec"), [("a.flac", ""), ("a.mov", "pcm_s24le"), ("a.m4a", "aac")])
def test_a_file_that_was_cut_off_is_refused_where_its_format_tells(tmp_path: Path, name: str, codec: str) -> None:
    path = tmp_path / name
    if codec:
        coded(path, codec)
    else:
        soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 200_000), RATE_HZ)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(HSMError, match=r"damaged or cut off|not a sound file"):
        survey(open_sound(path))


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au", "a.w64", "a.mp3", "a.ogg", "a.opus", "a.mka"])
def test_a_file_that_was_cut_off_is_taken_as_far_as_it_goes_and_says_so(tmp_path: Path, name: str) -> None:
    path, noise = tmp_path / name, np.random.default_rng(0).uniform(-0.5, 0.5, 2 * RATE_HZ)
    if name == "a.mka":
        coded(path, "flac")
    elif name == "a.opus":
        soundfile.write(path, noise, RATE_HZ, format="OGG", subtype="OPUS")
    else:
        soundfile.write(path, noise, RATE_HZ)
    assert survey(open_sound(path)).warning == "", "it is whole"
    whole = open_sound(path).told_s
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    extent = survey(open_sound(path))
    assert 0 < extent.length_samples < 0.8 * whole * RATE_HZ
    assert extent.warning.startswith("the file seems cut off: ")
    told = "without the mark of its end" if name in ("a.ogg", "a.opus") else f"of the {whole:.2f} s"
    assert told in extent.warning


def test_a_wav_that_was_streamed_and_so_tells_no_size_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, TONE, RATE_HZ, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4
    path.write_bytes(data)
    extent = survey(open_sound(path))
    assert (extent.length_samples, extent.warning) == (TONE.size, "")


def test_samples_that_are_no_numbers_are_counted(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([0.0, np.nan, np.inf, 0.1]), RATE_HZ, subtype="FLOAT")
    with pytest.raises(HSMError, match=r"a\.wav: audio: 2 of 4 samples are not finite"):
        survey(open_sound(tmp_path / "a.wav"))


def test_without_pyav_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = coded(tmp_path / "a.m4a", "aac")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(HSMError, match="pip install av"):
        open_sound(path)

"""Sound files that exist whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from hsm import HSMError, writing
from hsm.writing import SoundWriter


@pytest.mark.parametrize(
    ("depth", "step"), [("PCM_16", 2.0**-15), ("PCM_24", 2.0**-23), ("PCM_32", 2.0**-24), ("FLOAT", 0)]
)
def test_what_write_returns_is_what_a_reader_gets(tmp_path: Path, depth: str, step: float) -> None:
    samples = np.random.default_rng(0).uniform(-1.3, 1.3, (2, 500)).astype(np.float32)
    with SoundWriter(tmp_path / "a.wav", 48_000, 2, depth, 500) as writer:
        written = writer.write(samples)
    found, rate_hz = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert (rate_hz, soundfile.info(tmp_path / "a.wav").subtype) == (48_000, depth)
    assert np.array_equal(found.T, written)
    assert np.abs(written - samples.clip(-1, 1) if depth != "FLOAT" else written - samples).max() <= step
    assert writer.clipped == (0 if depth == "FLOAT" else (np.abs(samples) > 1).sum())


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
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

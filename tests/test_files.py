"""From disk to disk: the same result as in memory, in memory that does not grow."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from hsm import HSM, Audio, HSMError, SeparationOptions
from hsm.evaluation.baselines.audiosep import AudioSep
from hsm.features import STFT_BINS
from hsm.networks.mask_decoder import MaskDecoder
from hsm.separator import FileProgress, FileSeparation

MakeSound = Callable[..., Audio]
ASKED = "extract the dog barking"


def separated(model: HSM, path: Path, **choices: object) -> FileSeparation:
    folder = path.parent
    return model.separate_file(path, ASKED, folder / "out" / "t.wav", folder / "out" / "r.wav", **choices)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("duration_s", "rate_hz", "channels"), [(0.05, 8_000, 1), (1.3, 44_100, 2), (0.4, 192_000, 3), (40.3, 22_050, 2)]
)
def test_a_file_becomes_what_it_becomes_in_memory(
    tiny_model: HSM, make_sound: MakeSound, tmp_path: Path, duration_s: float, rate_hz: int, channels: int
) -> None:
    mixture = make_sound(duration_s, rate_hz, channels)
    found = separated(tiny_model, mixture.save(tmp_path / "a.wav"))
    wanted = tiny_model.separate(mixture, ASKED)
    target, residual = Audio.load(found.target), Audio.load(found.residual)
    assert (target.rate_hz, target.samples.shape) == (rate_hz, mixture.samples.shape)
    assert np.abs(target.samples - wanted.target.samples).max() <= 1e-4
    assert np.abs(residual.samples - wanted.residual.samples).max() <= 1e-4
    assert np.abs(target.samples + residual.samples - mixture.samples).max() <= 1e-6
    assert found.length_samples == mixture.length_samples


@pytest.mark.parametrize(("duration_s", "rate_hz", "channels"), [(1.3, 44_100, 2), (30.3, 16_000, 1)])
def test_a_file_becomes_by_the_rival_what_it_becomes_in_memory(
    tiny_model: HSM, make_sound: MakeSound, tmp_path: Path, duration_s: float, rate_hz: int, channels: int
) -> None:
    mixture, options = make_sound(duration_s, rate_hz, channels), SeparationOptions(renderer="audiosep")
    told: list[FileProgress] = []
    found = separated(tiny_model, mixture.save(tmp_path / "a.wav"), options=options, progress=told.append)
    wanted = tiny_model.separate(mixture, ASKED, options)
    target, residual = Audio.load(found.target), Audio.load(found.residual)
    assert np.abs(target.samples - wanted.target.samples).max() <= 1e-4
    assert np.abs(target.samples + residual.samples - mixture.samples).max() <= 1e-6
    assert told[-1].done_s == pytest.approx(duration_s)
    assert set(found.timings_s) == {"parse", "render"}, "no other network works for it"


def test_no_seam_between_the_rivals_windows_is_louder_or_softer_than_its_surroundings(
    make_sound: MakeSound, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a turn of the phase that is the same in all windows, the output has one level throughout."""
    turned = torch.polar(torch.tensor(0.5), torch.tensor(0.7))
    monkeypatch.setattr(AudioSep, "forward", lambda self, spectrum, text: turned.expand(spectrum.shape))
    mixture = make_sound(26.0)
    found = separated(HSM.tiny(), mixture.save(tmp_path / "a.wav"), options=SeparationOptions(renderer="audiosep"))
    pieces = Audio.load(found.target).samples.reshape(-1, 8_000)  # (0.5 s each, samples)
    level_db = 10 * np.log10(np.square(pieces).mean(1) / np.square(mixture.samples.reshape(pieces.shape)).mean(1))
    assert np.abs(np.diff(level_db)).max() <= 0.1
    assert level_db.mean() == pytest.approx(20 * np.log10(0.5), abs=0.05)


@pytest.mark.parametrize(
    ("subtype", "depth", "tolerance"), [("PCM_16", "PCM_16", 0), ("PCM_24", "PCM_24", 0), ("FLOAT", "FLOAT", 1e-7)]
)
def test_the_depth_is_the_inputs_and_both_parts_add_up_to_it_bit_by_bit(
    tiny_model: HSM, make_sound: MakeSound, tmp_path: Path, subtype: str, depth: str, tolerance: float
) -> None:
    soundfile.write(tmp_path / "a.wav", make_sound(0.5, channels=2).samples.T, 16_000, subtype=subtype)
    found = separated(tiny_model, tmp_path / "a.wav")
    assert {soundfile.info(path).subtype for path in (found.target, found.residual)} == {depth}
    parts = sum(Audio.load(path).samples for path in (found.target, found.residual))
    assert np.abs(parts - Audio.load(tmp_path / "a.wav").samples).max() <= tolerance
    assert found.warning == ""


def test_another_depth_can_be_asked_for_and_an_unknown_one_is_refused(
    tiny_model: HSM, make_sound: MakeSound, tmp_path: Path
) -> None:
    path = make_sound(0.2).save(tmp_path / "a.wav")
    assert soundfile.info(separated(tiny_model, path, depth="PCM_24").target).subtype == "PCM_24"
    with pytest.raises(HSMError, match="depth: got 'PCM_12'; wanted one of same, PCM_16"):
        separated(tiny_model, path, depth="PCM_12")


@pytest.mark.parametrize("kind", ["tone", "noise"])
def test_no_seam_is_louder_or_softer_than_its_surroundings(
    make_sound: MakeSound, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    """With a mask that is the same in all windows, the output is the input at one level throughout."""
    monkeypatch.setattr(MaskDecoder, "forward", lambda self, heard, *_: torch.full((*heard.shape[:2], STFT_BINS), 0.4))
    rate_hz, seconds = 16_000, 26
    times = np.arange(seconds * rate_hz) / rate_hz
    tone = Audio(0.3 * np.sin(2 * np.pi * 440 * times), rate_hz)
    mixture = tone if kind == "tone" else make_sound(seconds, rate_hz)
    found = separated(
        HSM.tiny(), mixture.save(tmp_path / "a.wav"), options=SeparationOptions(suppress_competitor=False)
    )
    target = Audio.load(found.target).samples.reshape(-1, rate_hz // 20)  # (50 ms each, samples)
    level_db = 10 * np.log10(np.square(target).mean(1) / np.square(mixture.samples.reshape(target.shape)).mean(1))
    assert np.abs(np.diff(level_db)).max() <= 0.1
    assert level_db.mean() == pytest.approx(20 * np.log10(1 / (1 + np.exp(-0.4))), abs=0.01)


def test_a_steady_tone_keeps_its_level_across_the_windows_of_a_real_network(tmp_path: Path) -> None:
    rate_hz, seconds = 16_000, 30
    tone = Audio(0.3 * np.sin(2 * np.pi * 500 * np.arange(seconds * rate_hz) / rate_hz), rate_hz)
    found = separated(HSM.tiny(seed=1), tone.save(tmp_path / "a.wav"))
    pieces = Audio.load(found.target).samples.reshape(-1, rate_hz // 2)  # frames that beat with the tone average out
    level_db = 10 * np.log10(np.square(pieces).mean(1))
    inner = np.abs(np.diff(level_db))[2:-2]  # the tone's own beginning and end are no seams
    assert inner.max() <= 0.1


def live_bytes() -> int:
    """Bytes in all tensors that are alive, each storage counted once."""
    storages = {}
    for one in gc.get_objects():
        if type(one) is torch.Tensor:
            storages[one.untyped_storage().data_ptr()] = one.untyped_storage().nbytes()
    return sum(storages.values())


def test_what_is_held_does_not_grow_with_the_length(tiny_model: HSM, make_sound: MakeSound, tmp_path: Path) -> None:
    peaks = []
    for seconds in (120, 300):
        path = make_sound(seconds, 8_000, channels=2).save(tmp_path / f"{seconds}.wav")
        held: list[int] = []
        separated(tiny_model, path, progress=lambda _, held=held: held.append(live_bytes()))
        peaks.append(max(held))
    assert peaks[1] <= 1.05 * peaks[0]


def test_progress_grows_to_the_end_and_tells_the_time_left(
    tiny_model: HSM, make_sound: MakeSound, tmp_path: Path
) -> None:
    told: list[FileProgress] = []
    separated(tiny_model, make_sound(24.0).save(tmp_path / "a.wav"), progress=told.append)
    assert [p.done_s for p in told] == sorted(p.done_s for p in told)
    assert told[-1].done_s == told[-1].duration_s == 24.0
    assert told[-1].left_s == 0
    assert all(p.left_s > 0 for p in told[:-1])
    assert FileProgress(10.0, 40.0, 2.0).left_s == pytest.approx(6.0)


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt])
def test_an_exception_from_the_callback_leaves_no_file(
    tiny_model: HSM, make_sound: MakeSound, tmp_path: Path, fault: type[BaseException]
) -> None:
    def cancel(progress: FileProgress) -> None:
        if progress.done_s > 10:
            raise fault

    path = make_sound(30.0, 8_000).save(tmp_path / "a.wav")
    with pytest.raises(fault):
        separated(tiny_model, path, progress=cancel)
    assert not list((tmp_path / "out").iterdir())


def test_a_silent_file_is_refused_before_any_work(tiny_model: HSM, tmp_path: Path) -> None:
    Audio(np.zeros((2, 8_000)), 8_000).save(tmp_path / "a.wav")
    with pytest.raises(HSMError, match=r"1\.00 s are silent"):
        separated(tiny_model, tmp_path / "a.wav")
    assert not (tmp_path / "out").exists()

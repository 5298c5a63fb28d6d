"""The sound encoder's teacher: its mel bands, where its maps stand on ours, and files that are not it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from stage_context import teacher_file

from hsm.errors import HSMError
from hsm.features import RATE_HZ, hz_to_mel
from hsm.training.teacher import BANDS, LABELS, MAP_WIDTHS, TOP_HZ, Teacher


@pytest.mark.parametrize("frequency_hz", [300.0, 1_000.0, 6_000.0])
def test_a_tone_stands_in_its_band_of_the_teachers_mel(frequency_hz: float) -> None:
    tone = 0.5 * torch.sin(2 * math.pi * frequency_hz * torch.arange(RATE_HZ) / RATE_HZ)
    mel = Teacher().mel(tone[None])  # (1, bands, T)
    wanted = hz_to_mel(frequency_hz) / hz_to_mel(TOP_HZ) * (BANDS + 1) - 1
    assert abs(int(mel[0].mean(1).argmax()) - wanted) < 1.5


def test_maps_stand_on_the_students_raster() -> None:
    lesson = Teacher.load(teacher_file())(torch.randn(2, 5_120 * 2) * 0.1)
    assert [tuple(one.shape) for one in lesson.maps] == [
        (2, 8, 16, MAP_WIDTHS[0]),
        (2, 4, 8, MAP_WIDTHS[1]),
        (2, 2, 4, MAP_WIDTHS[2]),
    ]
    assert lesson.pooled.shape == (2, MAP_WIDTHS[-1])
    assert lesson.logits.shape == (2, LABELS)


def test_bands_up_to_15_khz_are_read_at_the_places_of_ours_up_to_8_khz() -> None:
    rows = torch.arange(8.0)[None, None, :, None]  # (B, C, bands, frames): the value is the teacher's band
    ours = Teacher._on_our_bands(rows)[0, 0, :, 0]
    for band in range(1, 8):
        centre = (band + 0.5) / 8 * hz_to_mel(RATE_HZ / 2)
        assert float(ours[band]) == pytest.approx(centre / hz_to_mel(TOP_HZ) * 8 - 0.5, abs=1e-4)


def test_a_file_that_is_missing_or_another_network_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(HSMError, match="there is no file"):
        Teacher.load(tmp_path / "teacher.pt")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "teacher.pt")
    with pytest.raises(HSMError, match=r"teacher\.pt: not the network"):
        Teacher.load(tmp_path / "teacher.pt")

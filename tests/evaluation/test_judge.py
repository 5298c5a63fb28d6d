"""The tagger's windows, on an interpreter that is not there; what is missing is named."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hsm.errors import HSMError
from hsm.evaluation.judge import YamnetJudge

CLASSES = 3


class Interpreter:
    """Stands in for LiteRT's: class 0 is the window's sum, class 1 its last sample, class 2 one half."""

    samples = 15_600

    def __init__(self, path: str, num_threads: int) -> None:
        self.wave = np.zeros(self.samples)

    def allocate_tensors(self) -> None: ...

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"index": 0, "shape": np.array([1, self.samples])}]

    def get_output_details(self) -> list[dict[str, Any]]:
        return [{"index": 1, "shape": np.array([1, CLASSES])}]

    def set_tensor(self, index: int, wave: np.ndarray) -> None:
        assert wave.shape == (1, self.samples) and wave.dtype == np.float32
        self.wave = wave[0]

    def invoke(self) -> None: ...

    def get_tensor(self, index: int) -> np.ndarray:
        return np.array([[self.wave.sum(), self.wave[-1], 0.5]], np.float32)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package, module = ModuleType("ai_edge_litert"), ModuleType("ai_edge_litert.interpreter")
    module.Interpreter = Interpreter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ai_edge_litert", package)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", module)
    (tmp_path / "yamnet.tflite").write_bytes(b"model")
    (tmp_path / "yamnet_class_map.csv").write_text(
        'index,mid,display_name\n0,/m/0,Speech\n1,/m/1,Dog\n2,/m/2,"Saw, hand"\n', encoding="utf-8"
    )
    return tmp_path


def test_classes_come_from_the_map(folder: Path) -> None:
    assert YamnetJudge(folder).classes == ("Speech", "Dog", "Saw, hand")


@pytest.mark.parametrize(
    ("samples", "sums", "last"),
    [
        (1, 1, 0.0),
        (15_600, 15_600, 1.0),
        (15_601, (15_600 + 7_801) / 2, 0.5),
        (23_400, 15_600, 1.0),
        (80_000, (9 * 15_600 + 80_000 - 70_200) / 10, 0.9),
    ],
)
def test_probabilities_are_the_mean_over_half_overlapping_windows(
    folder: Path, samples: int, sums: float, last: float
) -> None:
    probabilities = YamnetJudge(folder).probabilities(np.ones(samples, np.float32))
    np.testing.assert_allclose(probabilities, [sums, last, 0.5], rtol=1e-6)


@pytest.mark.parametrize("wave", [np.zeros((2, 100), np.float32), np.zeros(0, np.float32)])
def test_a_wave_that_is_not_mono_is_refused(folder: Path, wave: np.ndarray) -> None:
    with pytest.raises(HSMError, match="mono"):
        YamnetJudge(folder).probabilities(wave)


@pytest.mark.parametrize("name", ["yamnet.tflite", "yamnet_class_map.csv"])
def test_a_missing_file_is_named_with_the_way_out(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(HSMError, match=f"has no {name}.*--judge"):
        YamnetJudge(folder)


def test_a_missing_package_is_named_with_the_way_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(HSMError, match="pip install ai-edge-litert"):
        YamnetJudge(folder)


def test_another_model_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Interpreter, "samples", 16_000)
    with pytest.raises(HSMError, match="takes 16000 samples"):
        YamnetJudge(folder)

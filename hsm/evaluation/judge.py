"""An independent judge of what is heard: YAMNet's 521 AudioSet classes, run from a folder the user has."""

from __future__ import annotations

import csv
from importlib import import_module
from pathlib import Path

import numpy as np

from hsm.errors import HSMError

MODEL_FILE = "yamnet.tflite"
CLASSES_FILE = "yamnet_class_map.csv"
WINDOW_SAMPLES = 15_600  # 0.975 s, the model's one input length
HOP_SAMPLES = 7_800


class YamnetJudge:
    """YAMNet as a function from a wave to class probabilities.

    Args:
        folder: holds `yamnet.tflite` (one input of 15,600 samples at 16 kHz) and `yamnet_class_map.csv`.
        threads: of the interpreter, at least 1.

    Raises:
        HSMError: the package `ai-edge-litert` or a file is missing, or the model is another one.
    """

    def __init__(self, folder: str | Path, threads: int = 1) -> None:
        folder = Path(folder)
        for name in (MODEL_FILE, CLASSES_FILE):
            if not (folder / name).is_file():
                raise HSMError(
                    f"judge: {folder} has no {name}; wanted a folder with {MODEL_FILE} and {CLASSES_FILE} "
                    "(Google publishes both as YAMNet). Leave --judge out to go without KL."
                )
        with (folder / CLASSES_FILE).open(newline="", encoding="utf-8") as file:
            self.classes = tuple(row.get("display_name") or "" for row in csv.DictReader(file))
        try:
            interpreter = import_module("ai_edge_litert.interpreter").Interpreter
        except ModuleNotFoundError as error:
            raise HSMError(
                "judge: the package ai-edge-litert is not installed; run `pip install ai-edge-litert`, "
                "or leave --judge out to go without KL."
            ) from error
        self._model = interpreter(str(folder / MODEL_FILE), num_threads=threads)
        self._model.allocate_tensors()
        self._input = self._model.get_input_details()[0]
        self._output = self._model.get_output_details()[0]
        samples, classes = int(np.prod(self._input["shape"])), int(self._output["shape"][-1])
        if samples != WINDOW_SAMPLES or classes != len(self.classes):
            raise HSMError(
                f"judge: {MODEL_FILE} takes {samples} samples and gives {classes} classes; wanted "
                f"{WINDOW_SAMPLES} and the {len(self.classes)} of {CLASSES_FILE}. "
                "Use both files of one release."
            )

    def probabilities(self, wave: np.ndarray) -> np.ndarray:
        """Mean over windows of 0.975 s, half overlapping; the last one is padded with zeros.

        Args:
            wave: (S,) at 16 kHz, S at least 1; taken at its own level.

        Returns:
            (classes,) float32, each in [0, 1]; independent scores, they do not sum to 1.

        Raises:
            HSMError: not one channel or no samples.
        """
        if wave.ndim != 1 or not wave.size:
            raise HSMError(f"judge: got an array of shape {wave.shape}; wanted (samples,), mono at 16 kHz.")
        windows = 1 + max(0, -(-(wave.size - WINDOW_SAMPLES) // HOP_SAMPLES))
        padded = np.zeros((windows - 1) * HOP_SAMPLES + WINDOW_SAMPLES, np.float32)
        padded[: wave.size] = wave
        scores = [self._window(padded[i * HOP_SAMPLES :][:WINDOW_SAMPLES]) for i in range(windows)]
        return np.asarray(np.stack(scores).mean(0))  # (classes,)

    def _window(self, wave: np.ndarray) -> np.ndarray:
        self._model.set_tensor(self._input["index"], wave.reshape(self._input["shape"]))
        self._model.invoke()
        return np.array(self._model.get_tensor(self._output["index"]), np.float32).reshape(-1)  # (classes,)

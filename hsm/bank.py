"""A bank of global features of training clips, for the t-SNE. Paper: Sec. V-C."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hsm.weights import WeightFolder


@dataclass(frozen=True, eq=False)
class FeatureBank:
    """Global features with their classes.

    Args:
        features: (N, D) float32.
        classes: N class names.
        names: N clip descriptions to show.
    """

    features: np.ndarray
    classes: tuple[str, ...]
    names: tuple[str, ...]

    @staticmethod
    def load(folder: WeightFolder) -> FeatureBank:
        """Read the bank of a weight folder; `HSMError` where it is missing or damaged."""
        state, text = folder.state("bank"), folder.metadata("bank")
        return FeatureBank(
            features=state["features"].numpy(),
            classes=tuple(json.loads(text["classes"])),
            names=tuple(json.loads(text["names"])),
        )

    def to_state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Tensors and text for `hsm.weights.save_weights`."""
        text = {"classes": json.dumps(self.classes), "names": json.dumps(self.names)}
        return {"features": torch.from_numpy(self.features)}, text

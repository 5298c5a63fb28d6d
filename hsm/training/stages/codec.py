"""Stage `codec`: the neural codec, which needs no labels. Paper: Sec. III-E2, V-A3."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hsm.networks.codec import FLOOR, Codec
from hsm.precision import mixed_precision
from hsm.training.losses import spectral_losses
from hsm.training.mixtures import Mixer, MixingSettings
from hsm.training.stage import Stage, StageContext, register

MAGNITUDE_WEIGHT = 2.0
LEVEL_DB = 6.0


@register("codec")
class CodecStage(Stage):
    """Reconstruction of the magnitudes of short crops of single clips near the working level.

    Departure: no discriminator and no loss on the wave; in hours of a CPU core spectral losses alone reach
    further, and the phases are not the networks' work.
    """

    mixing = MixingSettings(crop_s=1.28, focus_share=0.0)  # whole codec frames of 20 ms

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self.codec = self.train("codec", Codec)
        self.mixer = Mixer(context.clips, "train", self.mixing)

    def draw(self, rng: np.random.Generator) -> Tensor:
        """(B, S)."""
        self.mixer.rng = rng
        return torch.stack([self.mixer.excerpt(LEVEL_DB)[0] for _ in range(self.batch)])

    def training_step(self, batch: Tensor) -> dict[str, Tensor]:
        """See `Stage.training_step`."""
        wave = batch.to(self.device)
        with mixed_precision(self.device):
            made = self.codec(wave)
        wanted = torch.log(self.codec.magnitudes(wave) + FLOOR)  # (B, N, 2, F)
        mel, magnitude = spectral_losses(made.float(), wanted)
        return {"loss": mel + MAGNITUDE_WEIGHT * magnitude, "mel": mel, "magnitude": magnitude}

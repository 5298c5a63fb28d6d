"""Stage `audiosep`: the baseline, on the mixtures and texts of the mask decoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from hsm.evaluation.baselines.audiosep import AudioSep
from hsm.features import istft, stft
from hsm.precision import mixed_precision
from hsm.training.losses import error_db
from hsm.training.mixtures import VARIED, Mixer, MixtureBatch
from hsm.training.stage import Stage, StageContext, register


@register("audiosep")
class AudioSepStage(Stage):
    """AudioSep's form: L1 on the waveform, AdamW. Paper: "Separate Anything You Describe", Sec. III-C.

    An absent sound is never asked for, as in that paper. Of several ranks each normalises by its own examples, and
    the first one's statistics are kept.
    """

    mixing = replace(VARIED, crop_s=2.56)
    matrices = ()

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self.network = self.train("audiosep", AudioSep)
        self.mixer = Mixer(context.clips, "train", self.mixing)

    def draw(self, rng: np.random.Generator) -> MixtureBatch:
        """See `Mixer.batch`."""
        return self.mixer.batch(self.batch, rng)

    def training_step(self, batch: MixtureBatch) -> dict[str, Tensor]:
        """See `Stage.training_step`; "waveform_db" is the error in the mask stage's measure."""
        row, texts, truth = batch.queries
        truth, text = truth.to(self.device), self.context.captions.sentences(texts).to(self.device)  # (Q, S), (Q, W)
        mixed = stft(batch.mixture.to(self.device))[row.to(self.device)]  # (Q, T, F)
        with mixed_precision(self.device):
            gain = self.network(mixed, text)  # (Q, T, F)
        error = istft(gain * mixed, truth.shape[-1]) - truth
        return {"loss": error.abs().mean(), "waveform_db": error_db(error.detach(), truth).mean()}

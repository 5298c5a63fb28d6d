"""Stage `mask`: the mask decoder, text alone at first, later guided by Ĝ and Ŝ."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from hsm.features import istft, stft
from hsm.networks.mask_decoder import MaskDecoder
from hsm.networks.sound_encoder import SoundEncoder
from hsm.precision import mixed_precision
from hsm.training.frozen import FrozenSeparators
from hsm.training.losses import compressed_l1, error_db
from hsm.training.mixtures import VARIED, Mixer, MixtureBatch
from hsm.training.stage import Stage, StageContext, register

ABSENT_EVERY = 8  # one in so many mixtures is also asked for a sound that is not in it
MAGNITUDE_WEIGHT = 5.0
UNGUIDED_SHARE = 0.7  # of the guided stage's batches, so that the network also stays the single-stage variant


@register("mask")
class MaskStage(Stage):
    """Every mixture is asked for all of its sources, some also for an absent one, whose answer is silence.

    The loss looks at the described sound whatever the task, since target and residual have the same error.
    """

    mixing = replace(VARIED, crop_s=2.56)

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self.encoder = self.freeze("sound_encoder", SoundEncoder)
        self.decoder = self.train("mask", MaskDecoder)
        self.separators = None if context.options.single else FrozenSeparators(self)
        self.mixer = Mixer(context.clips, "train", self.mixing)

    def draw(self, rng: np.random.Generator) -> MixtureBatch:
        """See `Mixer.batch`."""
        return self.mixer.batch(self.batch, rng)

    def training_step(self, batch: MixtureBatch) -> dict[str, Tensor]:
        """See `Stage.training_step`."""
        mixture, (row, texts, truth) = batch.mixture.to(self.device), batch.queries
        sounding = slice(0, len(row))
        row = torch.cat([row, torch.arange(0, len(mixture), ABSENT_EVERY)]).to(self.device)  # query -> mixture
        texts, truth = texts + batch.absent[::ABSENT_EVERY], truth.to(self.device)
        task = torch.randint(0, 2, (len(row),)).to(self.device)
        spectrum = stft(mixture)  # (B, T, F)
        described = self._described_logits(mixture, spectrum.abs(), texts, row, task)  # (Q, T, F)

        mask, mixed = described.sigmoid(), spectrum[row]  # (Q, T, F)
        wave = istft(mask * mixed, mixture.shape[-1])  # (Q, S)
        waveform = error_db(wave[sounding] - truth, truth).mean()
        loudness = mixed[sounding].abs()
        magnitude = compressed_l1(mask[sounding] * loudness, stft(truth).abs(), loudness).mean()
        # Silence is the answer to an absent query: what is left, relative to the mixture.
        left = error_db(wave[len(truth) :], mixture[row[len(truth) :]]).mean()
        loss = waveform + MAGNITUDE_WEIGHT * magnitude + left / ABSENT_EVERY
        return {"loss": loss, "waveform_db": waveform, "magnitude_l1": magnitude, "absent_db": left}

    def _described_logits(
        self, mixture: Tensor, magnitude: Tensor, texts: list[str], row: Tensor, task: Tensor
    ) -> Tensor:
        captions = self.context.captions
        with mixed_precision(self.device):
            cells = self.encoder(mixture)  # (B, cells in time, 12, E)
            guidance = None
            if self.separators is not None and torch.rand(()) >= UNGUIDED_SHARE:
                features = captions.features(captions.rows(texts))[0].to(self.device)
                guidance = self.separators.guidance(mixture, cells, features, row, task)
            frames = self.decoder.encode(magnitude, cells)  # (B, T, C)
            text = captions.sentences(texts).to(self.device)
            logits = self.decoder(frames[row], text, task, guidance).float()
        return logits * (1.0 - 2.0 * task)[:, None, None]

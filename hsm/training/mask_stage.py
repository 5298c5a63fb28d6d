"""Stage `mask`: the mask renderer, text alone at first, later guided by Ĝ and Ŝ."""

from __future__ import annotations

import torch
from torch import Tensor

from hsm.features import istft, stft
from hsm.networks.mask_decoder import MaskDecoder
from hsm.precision import mixed_precision
from hsm.training.frozen import FrozenSeparators
from hsm.training.losses import compressed_l1, error_db
from hsm.training.mixing import Mixer, MixingSettings, MixtureBatch
from hsm.training.processes import processes, share
from hsm.training.stages import Optimisation, Stage, StageContext

ABSENT_EVERY = 8  # one in so many mixtures is also asked for a sound that is not in it
MAGNITUDE_WEIGHT = 5.0
UNGUIDED_SHARE = 0.7  # of the guided stage's batches, so that the network also stays the single-stage variant


class MaskStage(Stage):
    """The mask renderer.

    Every mixture is asked for both of its sources, some also for an absent one, whose answer is
    silence. The loss looks at the described sound whatever the task, since target and residual have
    the same error.

    Args:
        context: with "mask", and the four networks before it where guided.
        optimisation: see `Optimisation`.
        mixing: how mixtures are drawn.
        guided: whether Ĝ and Ŝ of the frozen H1 and H2 guide the renderer.
    """

    def __init__(self, context: StageContext, optimisation: Optimisation, mixing: MixingSettings, guided: bool) -> None:
        module = context.modules["mask"].train().requires_grad_(True)
        assert isinstance(module, MaskDecoder)
        encoder = context.modules["sound_encoder"].eval()
        needs = ("sound_encoder", *(FrozenSeparators.NEEDS if guided else ()))
        super().__init__("mask", {"mask": module}, optimisation, context, needs=needs)
        self.renderer, self.encoder = module, encoder
        self.separators = FrozenSeparators(context) if guided else None
        self.mixer = Mixer(context.clips, "train", mixing, context.seed)
        self.random_state["mixer"] = self.mixer.rng

    def losses(self) -> dict[str, Tensor]:
        """See `Stage.losses`."""
        return self.mixture_losses(self.mixer.batch(self.optimisation.batch))

    def mixture_losses(self, batch: MixtureBatch) -> dict[str, Tensor]:
        """Losses of one batch of mixtures: both sources, and the absent queries."""
        size = len(batch.wordings)
        both, absent = torch.arange(size).repeat_interleave(2), torch.arange(0, size, ABSENT_EVERY)
        texts = [w for pair in batch.wordings for w in pair] + batch.absent[::ABSENT_EVERY]
        row = torch.cat([both, absent])  # query -> mixture
        task = torch.cat([share(torch.randint(0, 2, (len(part) * processes(),))) for part in (both, absent)])  # (Q,)
        mixture, truth = batch.mixture.to(self.device), batch.sources.flatten(0, 1).to(self.device)  # (B, S), (2 B, S)
        spectrum = stft(mixture)  # (B, T, F)
        described = self._described_logits(mixture, spectrum.abs(), texts, row, task)  # (Q, T, F)

        mask, heard = described.sigmoid(), spectrum[row]  # (Q, T, F)
        wave = istft(mask * heard, mixture.shape[-1])  # (Q, S)
        present = slice(0, 2 * size)
        waveform = error_db(wave[present] - truth, truth).mean()
        loudness = heard[present].abs()
        magnitude = compressed_l1(mask[present] * loudness, stft(truth).abs(), loudness).mean()
        # Silence is the answer to an absent query: what is left, relative to the mixture.
        left = error_db(wave[2 * size :], mixture[row[2 * size :]]).mean()
        loss = waveform + MAGNITUDE_WEIGHT * magnitude + left / ABSENT_EVERY
        return {"loss": loss, "waveform_db": waveform, "magnitude_l1": magnitude, "absent_db": left}

    def _described_logits(
        self, mixture: Tensor, magnitude: Tensor, texts: list[str], row: Tensor, task: Tensor
    ) -> Tensor:
        features = self.context.captions.features(texts)[0].to(self.device)
        row, task = row.to(self.device), task.to(self.device)
        with mixed_precision(self.device):
            cells = self.encoder(mixture)  # (B, cells in time, 12, E)
            guidance = None
            if self.separators is not None and torch.rand(()) >= UNGUIDED_SHARE:
                guidance = self.separators.guidance(mixture, cells, features, row, task)
            heard = self.renderer.encode(magnitude, cells)  # (B, T, C)
            logits = self.renderer(heard[row], features.sentence(), task, guidance).float()
        return logits * (1.0 - 2.0 * task)[:, None, None]

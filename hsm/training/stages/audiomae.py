"""Stage `audiomae`: the local-semantic features. Paper: Sec. III-B1."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hsm.features import COLUMN_SAMPLES, PATCH_BANDS, log_mel
from hsm.networks.audiomae import AudioMAE, PatchDecoder
from hsm.networks.sound_encoder import SoundEncoder
from hsm.precision import mixed_precision
from hsm.training.distributed import gather
from hsm.training.losses import contrastive
from hsm.training.mixtures import Mixer, MixingSettings, MixtureBatch, draw_first_column
from hsm.training.stage import Stage, StageContext, register

VISIBLE_SHARE = 0.4
CAPTION_WEIGHT = 1.0


def class_numbers(classes: list[list[tuple[str, ...]]]) -> Tensor:
    """A number for the class set of each mixture's first source, the same on every rank: (B,)."""
    keys = ["\n".join(sorted(sources[0])).encode() for sources in classes]
    return torch.tensor([int.from_bytes(sha256(key).digest()[:7], "big") for key in keys])


@register("audiomae")
class AudioMAEStage(Stage):
    """Masked patch reconstruction, and captions as a second teacher.

    Departure: Sec. III-B1 pretrains on two million clips by reconstruction alone. On a few hours of
    sound that learns textures before meanings, so the mean of the visible patches is also drawn to
    the caption's sentence embedding.
    """

    batch = 32
    mixing = MixingSettings(crop_s=5.12, sources=(1.0,))

    def __init__(self, context: StageContext) -> None:
        super().__init__(context)
        self.sound_encoder = self.freeze("sound_encoder", SoundEncoder)
        self.encoder = self.train("audiomae", AudioMAE)
        torch.manual_seed(context.seed)
        self.caption_head = nn.Linear(context.config.audiomae.width, context.config.text.width).to(self.device)
        self.patch_decoder = PatchDecoder(context.config.audiomae).to(self.device)
        self.trains |= {"caption_head": self.caption_head, "patch_decoder": self.patch_decoder}
        self.mixer = Mixer(context.clips, "train", self.mixing)

    def draw(self, rng: np.random.Generator) -> MixtureBatch:
        """Single clips."""
        return self.mixer.batch(self.batch, rng)

    def training_step(self, batch: MixtureBatch) -> dict[str, Tensor]:
        """See `Stage.training_step`."""
        waves = batch.mixture.to(self.device)
        sentence = self.context.captions.sentences(batch.queries[1]).to(self.device)
        columns = waves.shape[-1] // COLUMN_SAMPLES
        order = torch.rand(len(waves), columns * PATCH_BANDS).argsort(1).to(self.device)  # (B, P)
        with mixed_precision(self.device):
            mel, first = log_mel(waves), draw_first_column(columns)
            with torch.no_grad():
                tiles = self.sound_encoder(mel).tiles  # (B, P, E)
            pretraining = self.patch_decoder(self.encoder, mel, tiles, VISIBLE_SHARE, order, first)
            pooled = self.caption_head(pretraining.visible.mean(1))
        similarity = gather(F.normalize(pooled.float(), dim=-1)) @ gather(sentence).t() / 0.07  # of all ranks
        kinds = gather(class_numbers(batch.classes).to(self.device))
        caption = contrastive(similarity, kinds[:, None] == kinds)
        loss = pretraining.loss.float() + CAPTION_WEIGHT * caption
        return {"loss": loss, "reconstruction": pretraining.loss, "caption": caption}

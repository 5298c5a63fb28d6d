"""The frozen networks that later stages stand on."""

from __future__ import annotations

import torch
from torch import Tensor

from hsm.features import log_mel
from hsm.networks.audiomae import AudioMAE
from hsm.networks.q_audio import QAudio
from hsm.networks.separators import GlobalSeparator, LocalSeparator, TextCondition
from hsm.networks.sound_encoder import SoundEncoder, SoundFeatures
from hsm.text import TextFeatures
from hsm.training.stage import Stage


class FrozenLocal:
    """Sound encoder and AudioMAE."""

    def __init__(self, stage: Stage) -> None:
        self.sound_encoder = stage.freeze("sound_encoder", SoundEncoder)
        self.audiomae = stage.freeze("audiomae", AudioMAE)

    @torch.no_grad()
    def __call__(self, waves: Tensor, sound: SoundFeatures | None = None) -> Tensor:
        """S (B, P, D) of (B, S); the sound encoder's features are computed where not given."""
        mel = log_mel(waves)
        return self.audiomae(mel, (sound or self.sound_encoder(mel)).tiles).float()


class FrozenSeparators:
    """H1 and H2 over S and G: what guides the decoders."""

    def __init__(self, stage: Stage) -> None:
        self.local = FrozenLocal(stage)
        self.q_audio = stage.freeze("q_audio", QAudio)
        self.h1 = stage.freeze("global_separator", GlobalSeparator)
        self.h2 = stage.freeze("local_separator", LocalSeparator)
        self.words = stage.context.captions.task.to(stage.device)  # (2, W)

    @torch.no_grad()
    def __call__(
        self, local: Tensor, whole: Tensor, features: TextFeatures, task: Tensor, first_column: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Ĝ (Q, D) and Ŝ (Q, P, D) of Q queries.

        Args:
            local: S_mix (Q, P, D).
            whole: G_mix (Q, D).
            features: of the descriptions.
            task: (Q,) 0 extract, 1 remove.
            first_column: as in `LocalSeparator.forward`.
        """
        text = TextCondition(self.q_audio.text(features), features.mask, self.words[task])  # (Q, L, D)
        predicted = self.h1(whole, text).float()  # (Q, D)
        return predicted, self.h2(local, predicted, text, first_column).local.float()

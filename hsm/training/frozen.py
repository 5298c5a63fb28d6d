"""The frozen networks that later stages stand on."""

from __future__ import annotations

import torch
from torch import Tensor

from hsm.features import log_mel
from hsm.networks.audiomae import AudioMAE
from hsm.networks.mask_decoder import Guidance
from hsm.networks.q_audio import QAudio
from hsm.networks.separators import GlobalSeparator, LocalSeparator, TextCondition
from hsm.networks.sound_encoder import SoundEncoder
from hsm.text import TextFeatures
from hsm.training.stage import Stage


class FrozenLocal:
    """Sound encoder and AudioMAE: S of waves."""

    def __init__(self, stage: Stage) -> None:
        self.sound_encoder = stage.freeze("sound_encoder", SoundEncoder)
        self.audiomae = stage.freeze("audiomae", AudioMAE)

    def __call__(self, waves: Tensor, cells: Tensor | None = None) -> Tensor:
        """S (B, P, D) of (B, S); the sound encoder's features are computed where not given."""
        cells = self.sound_encoder(waves) if cells is None else cells
        out: Tensor = self.audiomae(log_mel(waves), cells)
        return out


class FrozenSeparators:
    """H1 and H2 over S and G: what guides the decoders."""

    def __init__(self, stage: Stage) -> None:
        self.local = FrozenLocal(stage)
        self.q_audio = stage.freeze("q_audio", QAudio)
        self.h1 = stage.freeze("global_separator", GlobalSeparator)
        self.h2 = stage.freeze("local_separator", LocalSeparator)
        self.words = stage.context.captions.task.to(stage.device)  # (2, W)

    @torch.no_grad()
    def guidance(self, mixture: Tensor, cells: Tensor, features: TextFeatures, row: Tensor, task: Tensor) -> Guidance:
        """Ĝ (Q, D) and Ŝ (Q, P, D) of queries.

        Args:
            mixture: (B, S).
            cells: (B, cells in time, 12, E) of the sound encoder.
            features: of Q descriptions.
            row: (Q,) which mixture each query asks.
            task: (Q,) 0 extract, 1 remove.
        """
        local = self.local(mixture, cells)  # (B, P, D)
        whole = self.q_audio.audio(local)  # (B, D)
        text = TextCondition(self.q_audio.text(features), features.mask, self.words[task])  # (Q, L, D)
        predicted = self.h1(whole[row], text)  # (Q, D)
        return Guidance(predicted, self.h2(local[row], predicted, text).local)

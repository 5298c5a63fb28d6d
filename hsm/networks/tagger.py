"""Names of the sounds in a mixture, from the sound encoder's features."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

PRESENCE_CUES = 5
SHARPNESS = 20.0  # how much nearer names count more where a description's likelihood is read off theirs
ALIKE = 0.6  # cosine of sentence embeddings from which two names may mean the same sound


@dataclass(frozen=True)
class TaggerConfig:
    """`labels`: classes of AudioSet, learnt from the teacher; `names`: class names of the training clips."""

    width: int = 640
    labels: int = 527
    names: int = 300


class Tagger(nn.Module):
    """Which sounds a window holds: AudioSet's classes and the frequent class names of the training clips.

    Departure: the paper asks for one sound and is told of no other. A decoder that also knows what else there is
    separates better, and a user sees what could be asked for.

    Args:
        config: sizes.
        wide_width: width E' of the sound encoder's wide tiles.
        text_width: width W of the text encoder's features.
    """

    def __init__(self, config: TaggerConfig, wide_width: int, text_width: int) -> None:
        super().__init__()
        self.labels_out = nn.Sequential(
            nn.Linear(2 * wide_width, config.width), nn.ReLU(), nn.Linear(config.width, config.labels)
        )
        self.names_out = nn.Linear(2 * wide_width, config.names)
        self.vocabulary: Tensor  # (V, W) sentence embeddings of the names
        self.register_buffer("vocabulary", torch.zeros(config.names, text_width))
        self.presence: Tensor  # weights of `PRESENCE_CUES` and a constant, by `hsm train presence`
        self.register_buffer("presence", torch.zeros(PRESENCE_CUES + 1))
        self.labels = tuple(f"label {i}" for i in range(config.labels))  # the trained one's are in its file
        self.names = tuple(f"sound {i}" for i in range(config.names))

    @staticmethod
    def pool(wide: Tensor) -> Tensor:
        """Mean and maximum over all places of wide tiles (B, n, 4, E'): (B, 2 E')."""
        places = wide.flatten(1, 2).float()
        return torch.cat([places.mean(1), places.amax(1)], -1)

    def forward(self, wide: Tensor) -> tuple[Tensor, Tensor]:
        """Log-odds (B, labels) and (B, names) of wide tiles (B, n, 4, E')."""
        pooled = self.pool(wide)
        return self.labels_out(pooled), self.names_out(pooled)

    def present(self, cues: Tensor) -> Tensor:
        """Log-odds (B,) that a sound is in windows, of `presence_cues`."""
        return cues @ self.presence[:-1] + self.presence[-1]

    def presence_cues(self, tags: Tensor, share: Tensor, peak: Tensor, sentence: Tensor) -> Tensor:
        """What tells whether a described sound is in windows: (B, PRESENCE_CUES).

        Args:
            tags: (B, names) from `forward`.
            share: (B,) of the window's energy that the mask gives to the sound.
            peak: (B,) the same of the 0.3 s in which it is largest.
            sentence: (1, W) embedding of the description, unit length.
        """
        alike = sentence[0] @ self.vocabulary.t()  # (names,)
        tag = tags @ (alike * SHARPNESS).softmax(0) / 4  # (B,)
        nearest = alike.max().expand_as(tag)
        level, loud = ((x + 1e-3).log10() for x in (share, peak))
        return torch.stack([level, loud, tag, nearest, tag * nearest], -1)

"""Which sounds a mixture holds, of a vocabulary of names; so that the renderer can be asked for them too."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

THINNING = 4  # frames that are averaged before anything is named
ALIKE = 0.6  # cosine of sentence embeddings from which two names may mean the same sound


@dataclass(frozen=True)
class TaggerConfig:
    """Naming what a mixture holds; `names`: how many sounds it knows by name."""

    width: int = 512
    names: int = 192


class Tagger(nn.Module):
    """Matches what the mask renderer hears with the names of frequent sounds, frame by frame.

    Departure: the paper asks for one sound and is told of no other. A renderer that also knows what else there
    is separates better, and a visitor sees what could be asked for.

    Args:
        config: sizes.
        heard_width: width C of what the mask renderer hears.
        text_width: width W of the text encoder's features.
    """

    def __init__(self, config: TaggerConfig, heard_width: int, text_width: int) -> None:
        super().__init__()
        self.frame_in = nn.Sequential(
            nn.LayerNorm(heard_width),
            nn.Linear(heard_width, config.width),
            nn.GELU(),
            nn.Linear(config.width, text_width),
        )
        self.name_in = nn.Linear(text_width, text_width)
        self.rarity = nn.Linear(text_width, 1)
        nn.init.zeros_(self.rarity.weight)
        nn.init.constant_(self.rarity.bias, -4.0)  # most names are not there
        self.vocabulary: Tensor
        self.register_buffer("vocabulary", torch.zeros(config.names, text_width))
        self.names = tuple(f"sound {i}" for i in range(config.names))  # those of the trained one are in its file

    def forward(self, heard: Tensor) -> Tensor:
        """Log-odds that each name sounds at any time.

        Args:
            heard: (B, T, C) from `MaskDecoder.encode`.

        Returns:
            (B, V), in the order of `vocabulary` (V, W), the names' sentence embeddings.
        """
        thin = nn.functional.avg_pool1d(heard.transpose(1, 2), THINNING, ceil_mode=True).transpose(1, 2)
        names = self.vocabulary * self.vocabulary.shape[1] ** 0.5  # entries near 1
        scores = self.frame_in(thin) @ self.name_in(names).t() / names.shape[1] ** 0.5  # (B, T / 4, V)
        whole: Tensor = torch.logsumexp(scores, 1) - math.log(scores.shape[1]) + self.rarity(names)[:, 0]
        return whole

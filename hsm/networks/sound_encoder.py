"""The sound encoder: which sounds are where, before anything is asked.

Departure: the paper's features come from an AudioMAE trained on two million clips. On a few hours of sound a network
learns too little of what sounds there are, so this one learns from a tagger of AudioSet: its soft labels and its
feature maps, on clips and on mixtures of them. AudioMAE and the mask decoder read its features.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from hsm.features import MEL_FLOOR, MEL_LOG_CENTRE, MEL_LOG_SCALE, PATCH, PATCH_BANDS

SILENT_MEL = (torch.tensor(MEL_FLOOR).log().item() - MEL_LOG_CENTRE) / MEL_LOG_SCALE
WIDE = 2  # a wide tile is so many patches long and so many high


@dataclass(frozen=True)
class SoundEncoderConfig:
    """`stem`: channels of the first two convolutions; the rest is one entry a level: of half patches, of patches, wide.

    `expansions`: how many times wider a block is inside.
    """

    stem: tuple[int, ...] = (24, 64)
    widths: tuple[int, ...] = (128, 224, 320)
    blocks: tuple[int, ...] = (3, 4, 2)
    expansions: tuple[int, ...] = (3, 4, 4)


class SoundFeatures(NamedTuple):
    """What the sound encoder tells.

    Args:
        tiles: (B, P, E) one a patch, in temporal order.
        wide: (B, ceil(P / 32), 4, E') of 0.32 s by 32 mel bands.
        maps: all levels' maps (B, frames, bands, width), for training.
    """

    tiles: Tensor
    wide: Tensor
    maps: tuple[Tensor, ...] = ()


class SoundBlock(nn.Module):
    """Depthwise convolution, then a feed-forward a place; scaled by what the whole window holds, where asked."""

    def __init__(self, width: int, kernel: int, expansion: int, context: bool) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.context = nn.Linear(width, width) if context else None
        if self.context is not None:
            nn.init.zeros_(self.context.weight)
            nn.init.zeros_(self.context.bias)
        self.expand = nn.Linear(width, expansion * width)
        self.project = nn.Linear(expansion * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, frames, bands, C) to the same."""
        y = self.depthwise(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        y = self.norm(y)
        if self.context is not None:
            y = y * (1 + self.context(y.mean((1, 2), keepdim=True)))
        return x + self.project(F.relu(self.expand(y)))


class Merge(nn.Module):
    """Squares of 2 by 2 places become one."""

    def __init__(self, width: int, out_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.merge = nn.Linear(4 * width, out_width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2 frames, 2 bands, C) to (B, frames, bands, C')."""
        return self.merge(rearrange(self.norm(x), "b (t u) (f v) c -> b t f (u v c)", u=2, v=2))


class SoundEncoder(nn.Module):
    """Strided convolutions down to half patches, then blocks at three levels; see `SoundEncoderConfig`."""

    def __init__(self, config: SoundEncoderConfig) -> None:
        super().__init__()
        widths = config.widths
        self.stem = nn.ModuleList(
            nn.Conv2d(narrow, wide, 3, stride=2, padding=1) for narrow, wide in pairwise((1, *config.stem, widths[0]))
        )
        self.stem_norms = nn.ModuleList(nn.LayerNorm(width) for width in (config.stem[1], widths[0]))
        self.merges = nn.ModuleList(Merge(narrow, wide) for narrow, wide in pairwise(widths))
        self.levels = nn.ModuleList(
            nn.ModuleList(SoundBlock(width, 5 if i else 3, expansion, context=i > 0) for _ in range(count))
            for i, (width, count, expansion) in enumerate(zip(widths, config.blocks, config.expansions, strict=True))
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)

    def forward(self, mel: Tensor) -> SoundFeatures:
        """Features of log-mels (B, T, 128), T a multiple of 16, from `hsm.features.log_mel`."""
        columns = mel.shape[1] // PATCH
        mel = F.pad(mel, (0, 0, 0, columns % WIDE * PATCH), value=SILENT_MEL)
        x = F.relu(self.stem[0](mel.unsqueeze(1).to(memory_format=torch.channels_last)))
        x = F.relu(self.stem_norms[0](self.stem[1](x).permute(0, 2, 3, 1)))  # (B, T / 4, 32, C)
        x = self.stem_norms[1](self.stem[2](x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))  # (B, T / 8, 16, C)
        maps = []
        for i, blocks in enumerate(self.levels):  # type: ignore[arg-type]
            x = self.merges[i - 1](x) if i else x
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x)
            maps.append(self.norms[i](x))
        tiles = maps[1].flatten(1, 2)[:, : columns * PATCH_BANDS]  # (B, P, E)
        return SoundFeatures(tiles, maps[2], tuple(maps))

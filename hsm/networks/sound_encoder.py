"""The pretrained sound encoder: what sounds are where, before anything is asked.

Departure: the paper's features come from an AudioMAE trained on AudioSet. On a few hours of sound a
network learns too little of what sounds there are, so this one keeps the knowledge of aiSFX (Ma and
Lerch, "Representation Learning for the Automatic Indexing of Sound Effects Libraries", ISMIR 2022;
weights CC BY 4.0), a network trained on professional sound-effect libraries, frozen. Its batch
normalisations are folded into the convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hsm.features import (
    CELL_BANDS,
    CELL_FRAMES,
    CELL_SAMPLES,
    COLUMN_SAMPLES,
    PATCH_BANDS,
    RATE_HZ,
    SFX_BANDS,
    SFX_HOP,
    SFX_TOP_HZ,
    STFT_HOP,
    hz_to_mel,
    interpolate,
    sfx_mel,
)

BLOCKS = 4
STRIPE_FRAMES, STRIPE_HALO = 192, 2  # an even number of frames, and what two 3x3 convolutions reach beyond


@dataclass(frozen=True)
class SoundEncoderConfig:
    """The pretrained sound encoder; channels of its first block, doubled in each of the next three."""

    channels: int = 64

    @property
    def width(self) -> int:
        """Width of its features."""
        return 8 * self.channels


def _places(centres: Tensor) -> Tensor:
    """Cells, counted from the middle of the first one, at times in samples."""
    return (centres - (CELL_FRAMES - 1) / 2 * SFX_HOP) / CELL_SAMPLES


def cells_at_frames(columns: Tensor, frames: int) -> Tensor:
    """Columns of cells (B, cells in time, C) at the STFT's frames: (B, frames, C)."""
    centres = torch.arange(frames, device=columns.device) * STFT_HOP
    return interpolate(columns, _places(centres), 1)


def cells_at_patches(cells: Tensor, columns: int) -> Tensor:
    """Cells (B, cells in time, 12, E) at AudioMAE's patches: (B, columns * 8, E), in temporal order.

    Both mel scales are HTK's, so a patch's place is a fixed share of a cell's: 8 patches up to 8 kHz,
    12 cells of 8 of the 97 steps up to 22.05 kHz.
    """
    device = cells.device
    centres = (torch.arange(columns, device=device) + 0.5) * COLUMN_SAMPLES
    cells = interpolate(cells, _places(centres), 1)
    patch_mel = hz_to_mel(RATE_HZ / 2) / PATCH_BANDS
    cell_mel = hz_to_mel(SFX_TOP_HZ) / (SFX_BANDS + 1) * (SFX_BANDS / CELL_BANDS)
    bands = (torch.arange(PATCH_BANDS, device=device) + 0.5) * patch_mel / cell_mel - 0.5
    return interpolate(cells, bands, 2).flatten(1, 2)


class SoundEncoder(nn.Module):
    """Four blocks of two 3x3 convolutions, each twice as wide; the first three are pooled by 2x2.

    Args:
        config: sizes.
    """

    def __init__(self, config: SoundEncoderConfig) -> None:
        super().__init__()
        widths = [1, *(config.channels * 2**block for block in range(BLOCKS))]
        self.convolutions = nn.ModuleList()
        for narrow, wide in pairwise(widths):
            self.convolutions.append(nn.Conv2d(narrow, wide, 3, padding=1))
            self.convolutions.append(nn.Conv2d(wide, wide, 3, padding=1))
        self._channels_last()
        self.register_load_state_dict_post_hook(lambda module, _: module._channels_last())  # type: ignore[no-untyped-call]
        self.requires_grad_(False)

    def _channels_last(self) -> None:
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, wave: Tensor) -> Tensor:
        """Features of cells of 0.186 s by 8 mel bands.

        Args:
            wave: (B, S) at 16 kHz at the working level.

        Returns:
            (B, cells in time, 12, E), one cell at least.
        """
        mel = sfx_mel(wave)  # (B, frames, 96)
        mel = F.pad(mel, (0, 0, 0, max(0, CELL_FRAMES - mel.shape[1])))
        x = mel.unsqueeze(1).to(memory_format=torch.channels_last)  # (B, 1, frames, 96)
        for block in range(BLOCKS - 1):
            x = torch.cat([F.max_pool2d(stripe, 2) for stripe in self._stripes(block, x)], 2)
        return self._block(BLOCKS - 1, x).permute(0, 2, 3, 1)

    def _block(self, block: int, x: Tensor) -> Tensor:
        """Both convolutions of a block: (B, C, frames, bands) to (B, C', frames, bands)."""
        x = F.relu_(self.convolutions[2 * block](x))
        return F.relu_(self.convolutions[2 * block + 1](x))

    def _stripes(self, block: int, x: Tensor) -> Iterator[Tensor]:
        """A block, a stripe of frames at a time: whole, its maps would be the most memory of a separation."""
        frames = x.shape[2]
        for first in range(0, frames - 1, STRIPE_FRAMES):  # a last frame alone is lost in the pooling anyway
            end = min(first + STRIPE_FRAMES, frames)
            begin = max(0, first - STRIPE_HALO)
            stripe = self._block(block, x[:, :, begin : end + STRIPE_HALO])
            yield stripe[:, :, first - begin : end - begin]

"""AudioMAE: local-semantic features S from a log-mel spectrogram. Paper: Sec. III-B1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from hsm.features import PATCH, PATCH_BANDS
from hsm.networks.layers import TransformerBlock
from hsm.networks.sound_encoder import cells_at_patches


@dataclass(frozen=True)
class AudioMAEConfig:
    """Encoder and pretraining decoder. Paper: Sec. III-B1, Sec. V-D.

    `cells`: whether the sound encoder's features stand beside the patches; the paper's has none.
    """

    width: int = 256
    layers: int = 6
    heads: int = 4
    decoder_width: int = 192
    decoder_layers: int = 2
    decoder_heads: int = 3
    cells: bool = True


def positions(columns: Tensor, width: int) -> Tensor:
    """Fixed sine and cosine code of patch positions, half the width for time, half for frequency.

    Args:
        columns: (..., c) column numbers; any number of columns, so that shorter windows need no padding.
        width: divisible by 4.

    Returns:
        (..., c * 8, width), temporal order: patch = column * 8 + band.
    """
    quarter = width // 4
    rates = torch.exp(-math.log(10_000.0) * torch.arange(quarter, device=columns.device) / quarter)

    def code(index: Tensor) -> Tensor:
        angle = index.unsqueeze(-1) * rates
        return torch.cat([angle.sin(), angle.cos()], -1)  # (..., n, width / 2)

    time = code(columns.float()).repeat_interleave(PATCH_BANDS, dim=-2)  # (..., c * 8, width / 2)
    band = code(torch.arange(PATCH_BANDS, device=columns.device).float())  # (8, width / 2)
    band = band.repeat(columns.shape[-1], 1).expand_as(time)
    return torch.cat([time, band], -1)


def to_patches(mel: Tensor) -> Tensor:
    """(B, T, M) to (B, P, 256): squares of 16 frames by 16 bands in temporal order."""
    return rearrange(mel, "b (c t) (f m) -> b (c f) (t m)", t=PATCH, m=PATCH)


class MaskedAutoencoding(NamedTuple):
    """What the pretraining objective needs.

    Args:
        loss: mean square error on the hidden patches, each normalised to zero mean and unit spread.
        visible: (B, kept, D) features of the visible patches.
    """

    loss: Tensor
    visible: Tensor


class AudioMAE(nn.Module):
    """ViT encoder over spectrogram patches, with the small decoder of its pretraining.

    Departure: with `config.cells` a patch's token is made of its pixels and of what the pretrained sound
    encoder hears there, since the few hours that the bundled weights learn from name too few sounds.

    Args:
        config: sizes.
        cell_width: width E of the sound encoder's features.
    """

    def __init__(self, config: AudioMAEConfig, cell_width: int) -> None:
        super().__init__()
        pixels = PATCH * PATCH
        self.width, self.decoder_width = config.width, config.decoder_width
        self.embed = nn.Linear(pixels, config.width)
        self.cells_embed = (
            nn.Sequential(nn.LayerNorm(cell_width), nn.Linear(cell_width, config.width)) if config.cells else None
        )
        self.blocks = nn.ModuleList(TransformerBlock(config.width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.decoder_embed = nn.Linear(config.width, config.decoder_width)
        self.hidden = nn.Parameter(torch.zeros(config.decoder_width))
        self.decoder_blocks = nn.ModuleList(
            TransformerBlock(config.decoder_width, config.decoder_heads) for _ in range(config.decoder_layers)
        )
        self.decoder_norm = nn.LayerNorm(config.decoder_width)
        self.decoder_out = nn.Linear(config.decoder_width, pixels)

    def _encode(self, tokens: Tensor) -> Tensor:
        for block in self.blocks:
            tokens = block(tokens)
        out: Tensor = self.norm(tokens)
        return out

    def _tokens(self, pixels: Tensor, cells: Tensor, first_column: int = 0) -> Tensor:
        """(B, P, 256) and (B, cells in time, 12, E) to (B, P, D)."""
        count = pixels.shape[1] // PATCH_BANDS
        place = positions(first_column + torch.arange(count, device=pixels.device), self.width)
        tokens: Tensor = self.embed(pixels) + place
        if self.cells_embed is not None:
            tokens = tokens + self.cells_embed(cells_at_patches(cells, count))  # (B, P, D)
        return tokens

    def forward(self, mel: Tensor, cells: Tensor) -> Tensor:
        """Local-semantic features.

        Args:
            mel: (B, T, 128) from `hsm.features.log_mel`, T a multiple of 16 (1,024 for a whole window).
            cells: (B, cells in time, 12, E) of the same sound from the sound encoder.

        Returns:
            S (B, P, D), P = T / 2 (512 for a whole window).
        """
        return self._encode(self._tokens(to_patches(mel), cells))

    def masked(
        self,
        mel: Tensor,
        cells: Tensor,
        keep: float,
        order: Tensor,
        first_column: int = 0,
    ) -> MaskedAutoencoding:
        """Pretraining: encode a share of the patches, decode the rest.

        The sound encoder's features are hidden with their patches; those of visible patches still tell
        a little of their neighbours.

        Args:
            mel: (B, T, 128).
            cells: as in `forward`.
            keep: share of visible patches, 0 to 1. AudioMAE keeps 0.2.
            order: (B, P) the patches' numbers in any order; the first are those that are visible.
            first_column: where in a window the sound is said to stand, so that short crops teach all places.

        Returns:
            Loss and the visible patches' features.
        """
        pixels = to_patches(mel)  # (B, P, 256)
        batch, count = pixels.shape[:2]
        columns = first_column + torch.arange(mel.shape[1] // PATCH, device=mel.device)
        kept = max(1, round(keep * count))
        shown, hidden = order[:, :kept], order[:, kept:]
        tokens = self._tokens(pixels, cells, first_column)  # (B, P, D)
        visible = self._encode(tokens.gather(1, shown.unsqueeze(-1).expand(-1, -1, self.width)))  # (B, kept, D)

        canvas = self.hidden.expand(batch, count, -1).to(visible.dtype)  # (B, P, decoder width)
        place = shown.unsqueeze(-1).expand(-1, -1, self.decoder_width)
        canvas = canvas.scatter(1, place, self.decoder_embed(visible).to(canvas.dtype))
        canvas = canvas + positions(columns, self.decoder_width)
        for block in self.decoder_blocks:
            canvas = block(canvas)
        guess = self.decoder_out(self.decoder_norm(canvas))  # (B, P, 256)

        mean, spread = pixels.mean(-1, keepdim=True), pixels.std(-1, keepdim=True)
        wanted = (pixels - mean) / (spread + 0.05)
        error = (guess.float() - wanted).square().mean(-1)  # (B, P)
        return MaskedAutoencoding(error.gather(1, hidden).mean(), visible)

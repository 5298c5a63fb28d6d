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


@dataclass(frozen=True)
class AudioMAEConfig:
    """Encoder, and the decoder of its pretraining. Paper: Sec. III-B1, Sec. V-D.

    `tiles`: whether the sound encoder's features stand beside the patches; the paper's has none.
    """

    width: int = 256
    layers: int = 6
    heads: int = 4
    decoder_width: int = 192
    decoder_layers: int = 2
    decoder_heads: int = 3
    tiles: bool = True


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


class AudioMAE(nn.Module):
    """ViT encoder over spectrogram patches.

    Departure: with `config.tiles` a patch's token is made of its pixels and of what the sound encoder hears there,
    since the few hours that the bundled weights learn from name too few sounds.

    Args:
        config: sizes.
        tile_width: width E of the sound encoder's features.
    """

    def __init__(self, config: AudioMAEConfig, tile_width: int) -> None:
        super().__init__()
        self.width = config.width
        self.embed = nn.Linear(PATCH * PATCH, config.width)
        self.tiles_embed = nn.Linear(tile_width, config.width) if config.tiles else None
        self.blocks = nn.ModuleList(TransformerBlock(config.width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    def tokens(self, mel: Tensor, tiles: Tensor, first_column: int = 0) -> Tensor:
        """What stands for each patch before the blocks: as `forward`, but only a sum."""
        columns = first_column + torch.arange(mel.shape[1] // PATCH, device=mel.device)
        tokens = self.embed(to_patches(mel)) + positions(columns, self.width)  # (B, P, D)
        return tokens if self.tiles_embed is None else tokens + self.tiles_embed(tiles)

    def encode(self, tokens: Tensor) -> Tensor:
        """Blocks over any choice of `tokens`: (B, n, D) to the same."""
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)

    def forward(self, mel: Tensor, tiles: Tensor) -> Tensor:
        """Local-semantic features.

        Args:
            mel: (B, T, 128) from `hsm.features.log_mel`, T a multiple of 16 (1,024 for a whole window).
            tiles: (B, P, E) of the same sound from the sound encoder.

        Returns:
            S (B, P, D), P = T / 2 (512 for a whole window).
        """
        return self.encode(self.tokens(mel, tiles))


class MaskedPatches(NamedTuple):
    """`loss`: mean square error on the hidden patches, each normalised; `visible`: (B, kept, D) of the others."""

    loss: Tensor
    visible: Tensor


class PatchDecoder(nn.Module):
    """The small decoder of the pretraining: hidden patches from the visible ones' features; not shipped."""

    def __init__(self, config: AudioMAEConfig) -> None:
        super().__init__()
        self.width = config.decoder_width
        self.embed = nn.Linear(config.width, config.decoder_width)
        self.hidden = nn.Parameter(torch.zeros(config.decoder_width))
        self.blocks = nn.ModuleList(
            TransformerBlock(config.decoder_width, config.decoder_heads) for _ in range(config.decoder_layers)
        )
        self.norm = nn.LayerNorm(config.decoder_width)
        self.out = nn.Linear(config.decoder_width, PATCH * PATCH)

    def forward(
        self, encoder: AudioMAE, mel: Tensor, tiles: Tensor, keep: float, order: Tensor, first_column: int = 0
    ) -> MaskedPatches:
        """Encode a share of the patches, decode the rest.

        The sound encoder's features are hidden with their patches; those of visible ones still tell a little of their
        neighbours.

        Args:
            encoder: whose features are learnt.
            mel, tiles: as in `AudioMAE.forward`.
            keep: share of visible patches, 0 to 1. AudioMAE keeps 0.2.
            order: (B, P) the patches' numbers in any order; the first are those that are visible.
            first_column: where in a window the sound is said to stand, so that short crops teach all places.
        """
        kept = max(1, round(keep * order.shape[1]))
        shown, hidden = order[:, :kept], order[:, kept:]
        tokens = encoder.tokens(mel, tiles, first_column)  # (B, P, D)
        visible = encoder.encode(tokens.gather(1, shown.unsqueeze(-1).expand(-1, -1, encoder.width)))  # (B, kept, D)

        canvas = self.hidden.expand(*order.shape, -1).to(visible.dtype)  # (B, P, decoder width)
        place = shown.unsqueeze(-1).expand(-1, -1, self.width)
        canvas = canvas.scatter(1, place, self.embed(visible).to(canvas.dtype))
        columns = first_column + torch.arange(mel.shape[1] // PATCH, device=mel.device)
        canvas = canvas + positions(columns, self.width)
        for block in self.blocks:
            canvas = block(canvas)
        guess = self.out(self.norm(canvas))  # (B, P, 256)

        pixels = to_patches(mel)
        mean, spread = pixels.mean(-1, keepdim=True), pixels.std(-1, keepdim=True)
        error = (guess.float() - (pixels - mean) / (spread + 0.05)).square().mean(-1)  # (B, P)
        return MaskedPatches(error.gather(1, hidden).mean(), visible)

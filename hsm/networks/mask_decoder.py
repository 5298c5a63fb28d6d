"""H3, mask decoder: two masks over the mixture's STFT that sum to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from hsm.features import COLUMN_SAMPLES, PATCH_BANDS, STFT_BINS, STFT_HOP, interpolate
from hsm.networks.layers import Attention, feed_forward
from hsm.networks.sound_encoder import WIDE, SoundFeatures

DILATIONS = (1, 2, 4, 8)


@dataclass(frozen=True)
class MaskDecoderConfig:
    """Blocks that see the mixture alone, then blocks that know the description.

    A self-attention follows every second convolution block.
    """

    width: int = 320
    mixture_blocks: int = 4
    described_blocks: int = 4
    heads: int = 5
    condition_width: int = 384
    tile_width: int = 64


class Guidance(NamedTuple):
    """What H1 and H2 tell of the named sound: Ĝ (B, D), and Ŝ - S_mix (B, P, D); zeros where they are left out."""

    global_target: Tensor
    local_change: Tensor


class FiLM(nn.Module):
    """Feature-wise scale and shift by a condition; the identity at first.

    Of a condition of width 0 there is nothing to learn: x stays as it is.
    """

    def __init__(self, condition_width: int, width: int) -> None:
        super().__init__()
        self.linear: nn.Linear | None = None
        if condition_width:
            self.linear = nn.Linear(condition_width, 2 * width)
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """x (B, T, C), condition (B, condition_width), None where its width is 0, to (B, T, C)."""
        if self.linear is None:
            return x
        scale, shift = self.linear(condition).unsqueeze(1).chunk(2, dim=-1)  # (B, 1, C) each
        return x * (1 + scale) + shift


class ConvBlock(nn.Module):
    """Depthwise dilated convolution over time, then a pointwise feed-forward; under FiLM where asked."""

    def __init__(self, width: int, condition_width: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(width, width, 7, padding=3 * dilation, dilation=dilation, groups=width)
        self.norm = nn.LayerNorm(width)
        self.film = FiLM(condition_width, width)
        self.feed = feed_forward(width)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """(B, T, C) to the same."""
        y = self.depthwise(x.transpose(1, 2)).transpose(1, 2)  # (B, T, C)
        out: Tensor = x + self.feed(self.film(self.norm(y), condition))
        return out


class TimeAttention(nn.Module):
    """Self-attention over all frames; under FiLM where asked."""

    def __init__(self, width: int, heads: int, condition_width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.film = FiLM(condition_width, width)
        self.attention = Attention(width, heads)

    def forward(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """(B, T, C) to the same."""
        out: Tensor = x + self.attention(self.film(self.norm(x), condition))
        return out


class Blocks(nn.Module):
    """Convolution blocks with growing dilation, a self-attention after every second one."""

    def __init__(self, count: int, width: int, heads: int, condition_width: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            ConvBlock(width, condition_width, DILATIONS[i % len(DILATIONS)]) for i in range(count)
        )
        self.attentions = nn.ModuleList(TimeAttention(width, heads, condition_width) for _ in range(count // 2))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """(B, T, C) to the same."""
        for i, block in enumerate(self.convolutions):
            x = block(x, condition)
            if i % 2 == 1:
                x = self.attentions[i // 2](x, condition)
        return x


class MaskDecoder(nn.Module):
    """Predicts the named sound's share of every STFT bin.

    Departure: Sec. III-E regenerates the target from codec tokens and loses its phase; this filters the mixture, so
    that target + residual is the mixture. The network always finds the *named* sound; the operation decides which
    side of the mask is the target. So "extract X" and "remove X" agree, and what is learnt for one serves the other.

    Args:
        config: sizes.
        text_width: width W of the text encoder's features.
        feature_width: width D of Ĝ and Ŝ.
        sound_widths: of the sound encoder's levels; E and E' are the last two.
    """

    def __init__(
        self, config: MaskDecoderConfig, text_width: int, feature_width: int, sound_widths: tuple[int, ...]
    ) -> None:
        super().__init__()
        width, condition_width = config.width, config.condition_width
        self.bins_in = nn.Linear(STFT_BINS, width)
        self.tile_in, self.wide_in = (nn.Linear(e, config.tile_width) for e in sound_widths[-2:])
        self.tile_column = nn.Linear(PATCH_BANDS * config.tile_width, width)
        self.wide_column = nn.Linear(PATCH_BANDS // WIDE * config.tile_width, width)
        self.mixture_blocks = Blocks(config.mixture_blocks, width, config.heads, 0)
        self.text_in = nn.Linear(text_width, condition_width)
        self.global_in = nn.Linear(feature_width, condition_width, bias=False)
        self.local_in = nn.Linear(PATCH_BANDS * feature_width, width, bias=False)
        for guide in (self.global_in, self.local_in):
            nn.init.zeros_(guide.weight)  # text alone at first
        self.described_blocks = Blocks(config.described_blocks, width, config.heads, condition_width)
        self.norm = nn.LayerNorm(width)
        self.film = FiLM(condition_width, width)
        self.bins_out = nn.Linear(width, STFT_BINS)

    @staticmethod
    def _to_frames(columns: Tensor, frames: int, column_samples: int) -> Tensor:
        """(B, columns, C) to (B, T, C), linearly between the columns' middles."""
        centres = torch.arange(frames, device=columns.device) * STFT_HOP
        return interpolate(columns, centres / column_samples - 0.5, 1)

    def encode(self, magnitude: Tensor, sound: SoundFeatures) -> Tensor:
        """What does not depend on the description.

        Args:
            magnitude: (B, T, F) of the mixture at the working level.
            sound: the sound encoder's features of it.

        Returns:
            (B, T, C).
        """
        frames = magnitude.shape[1]
        x = self.bins_in(torch.log(magnitude.square() + 1e-5) / 4 + 1)  # (B, T, C)
        tiles = rearrange(nn.functional.gelu(self.tile_in(sound.tiles)), "b (c f) e -> b c (f e)", f=PATCH_BANDS)
        wide = nn.functional.gelu(self.wide_in(sound.wide)).flatten(2)  # (B, n, 4 E)
        x = x + self._to_frames(self.tile_column(tiles), frames, COLUMN_SAMPLES)
        x = x + self._to_frames(self.wide_column(wide), frames, WIDE * COLUMN_SAMPLES)
        return self.mixture_blocks(x)

    def forward(self, encoded: Tensor, text: Tensor, guidance: Guidance | None) -> Tensor:
        """The named sound's log-odds.

        Args:
            encoded: (B, T, C) from `encode`.
            text: (B, W) sentence embedding of the description; zeros where Ĝ alone asks.
            guidance: from H1 and H2, or None for the single-stage variant.

        Returns:
            (B, T, F); sigmoid is the named sound's share.
        """
        x = encoded
        condition = self.text_in(text * text.shape[-1] ** 0.5)  # (B, condition_width); entries near 1
        if guidance is not None:
            condition = condition + self.global_in(guidance.global_target)
            columns = rearrange(guidance.local_change, "b (c f) d -> b c (f d)", f=PATCH_BANDS)
            x = x + self._to_frames(self.local_in(columns), x.shape[1], COLUMN_SAMPLES)  # (B, T, C)
        condition = nn.functional.silu(condition)
        x = self.described_blocks(x, condition)
        return self.bins_out(self.film(self.norm(x), condition))

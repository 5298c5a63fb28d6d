"""The network of the offline instruction parser."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

OPERATIONS_AND_NOTHING = 3  # extract, remove, nothing
WIDTH, LAYERS, HEAD_WIDTH, LONGEST_TOKENS = 128, 1, 32, 192
DILATIONS = (1, 1, 2, 4)
READ_LAYERS = 3  # embeddings, middle, last


class Decision(NamedTuple):
    """Operation logits (B, 3): extract, remove, nothing; description logits (B, L), one a token."""

    operation: Tensor
    description: Tensor


class Neighbours(nn.Module):
    """Each token adds a weighted look at two tokens on either side, one weight a channel.

    Word order is what turns "leave in" into "leave out"; given directly, it is learnt in far fewer
    steps than attention alone needs.
    """

    def __init__(self, width: int, dilation: int, reach: int = 2) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(2 * reach + 1, width), std=(2 * reach + 1) ** -0.5))
        self.mix = nn.Linear(width, width)
        self.dilation, self.pad = dilation, reach * dilation

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, L, D), (B, L) -> (B, L, D); padding is read as zeros."""
        padded = nn.functional.pad(self.norm(x) * mask.unsqueeze(-1), (0, 0, self.pad, self.pad))
        windows = padded.unfold(1, 2 * self.pad + 1, 1)[..., :: self.dilation]  # (B, L, D, 5)
        near = (windows * self.weight.t()).sum(-1)  # (B, L, D)
        added: Tensor = self.mix(nn.functional.gelu(near))
        return x + added  # (B, L, D)


class InstructionNet(nn.Module):
    """A few dilated convolutions and attention over the text encoder's layers, with two heads.

    Args:
        text_width: width W of the text encoder; `READ_LAYERS` of its layers are read side by side.
        width: its own width.
        layers: attention blocks.
    """

    def __init__(self, text_width: int, width: int = WIDTH, layers: int = LAYERS) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Linear(READ_LAYERS * text_width, width), nn.LayerNorm(width))
        self.near = nn.ModuleList(Neighbours(width, dilation) for dilation in DILATIONS)
        self.position = nn.Parameter(nn.init.normal_(torch.empty(LONGEST_TOKENS, width), std=0.1))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, width // HEAD_WIDTH, 3 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.last = Neighbours(width, 1)
        self.leave = nn.LayerNorm(width)
        self.operation = nn.Linear(2 * width, OPERATIONS_AND_NOTHING)
        self.description = nn.Linear(width, 1)

    def forward(self, layers: Tensor, mask: Tensor) -> Decision:
        """Read word pieces.

        Args:
            layers: (B, L, 3 W), the first one is the start token.
            mask: (B, L), True where a token stands.
        """
        x = self.enter(layers) + self.position[: layers.shape[1]]  # (B, L, D)
        for near in self.near:
            x = near(x, mask)  # (B, L, D)
        for block in self.blocks:
            x = block(x, src_key_padding_mask=~mask)  # (B, L, D)
        x = self.leave(self.last(x, mask))
        weight = mask.unsqueeze(-1).to(x.dtype)
        mean = (x * weight).sum(1) / weight.sum(1)  # (B, D)
        return Decision(self.operation(torch.cat([x[:, 0], mean], -1)), self.description(x).squeeze(-1))

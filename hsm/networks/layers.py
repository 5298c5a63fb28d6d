"""Pieces that several networks share."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head attention of queries over a context.

    Args:
        width: of the queries and the output.
        heads: number of heads; divides width.
        context_width: of the context; the queries' own where not given.
    """

    def __init__(self, width: int, heads: int, context_width: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(context_width or width, width)
        self.value = nn.Linear(context_width or width, width)
        self.out = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        return rearrange(x, "b l (h d) -> b h l d", h=self.heads)

    def forward(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x: (B, L, width).
            context: (B, K, context_width); x itself where not given.
            mask: bool, broadcastable to (B, heads, L, K), True where attention is allowed.

        Returns:
            (B, L, width).
        """
        context = x if context is None else context
        q, k, v = self._split(self.query(x)), self._split(self.key(context)), self._split(self.value(context))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (B, heads, L, d)
        out: Tensor = self.out(rearrange(y, "b h l d -> b l (h d)"))  # (B, L, width)
        return out

    def scores(self, x: Tensor, rows: slice, mask: Tensor | None = None) -> Tensor:
        """Scores before the softmax of some rows of self-attention: (B, heads, rows, L)."""
        q, k = self._split(self.query(x[:, rows])), self._split(self.key(x))
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5  # (B, heads, rows, L)
        return scores if mask is None else scores.masked_fill(~mask, -torch.inf)


def feed_forward(width: int, factor: int = 4) -> nn.Sequential:
    """Two linear layers with GELU between."""
    return nn.Sequential(nn.Linear(width, factor * width), nn.GELU(), nn.Linear(factor * width, width))


class TransformerBlock(nn.Module):
    """Pre-norm self-attention and feed-forward."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.feed_norm = nn.LayerNorm(width)
        self.feed = feed_forward(width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, L, width) to the same; mask as in `Attention`."""
        x = x + self.attention(self.attention_norm(x), mask=mask)
        x = x + self.feed(self.feed_norm(x))
        return x

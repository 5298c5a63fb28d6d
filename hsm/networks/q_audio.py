"""Q-Audio: one query distils S into G, in one space with text. Paper: Sec. III-B2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from hsm.networks.layers import Attention, feed_forward
from hsm.text import TextFeatures

Objective = Literal["itc", "itm", "itg"]


@dataclass(frozen=True)
class QAudioConfig:
    """One learnable query, shared self-attention. Paper: Sec. III-B2, IV-C."""

    width: int = 256
    layers: int = 2
    heads: int = 4


def attention_mask(objective: Objective, text_mask: Tensor) -> Tensor:
    """Who may attend to whom in the shared self-attention; the query stands first.

    "itc": query and text do not see each other. "itm": all see all. "itg": the query sees itself, each
    text token sees the query and the text up to itself.

    Args:
        objective: one of the three.
        text_mask: (B, L) True where a token stands.

    Returns:
        (B, 1, 1 + L, 1 + L) bool, True where attention is allowed.
    """
    length = text_mask.shape[1]
    allowed = torch.ones(1 + length, 1 + length, dtype=torch.bool, device=text_mask.device)
    if objective in ("itc", "itg"):
        allowed[0, 1:] = False
    if objective == "itc":
        allowed[1:, 0] = False
    if objective == "itg":
        allowed[1:, 1:] = allowed[1:, 1:].tril()
    present = torch.cat([torch.ones_like(text_mask[:, :1]), text_mask], 1)  # (B, 1 + L)
    return (allowed & present.unsqueeze(1)).unsqueeze(1)


class QAudioLayer(nn.Module):
    """Self-attention shared by both branches; cross-attention and feed-forward of the query's own."""

    def __init__(self, width: int, heads: int, audio_width: int) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(width)
        self.self_attention = Attention(width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.cross_attention = Attention(width, heads, audio_width)
        self.query_norm = nn.LayerNorm(width)
        self.query_feed = feed_forward(width)
        self.text_norm = nn.LayerNorm(width)
        self.text_feed = feed_forward(width)

    def forward(self, query: Tensor | None, text: Tensor | None, audio: Tensor | None, mask: Tensor | None) -> Tensor:
        """One layer over whichever branches are there.

        Args:
            query: (B, 1, D) or None for the text branch alone.
            text: (B, L, D) or None for the audio branch alone.
            audio: (B, P, audio_width), wanted with a query.
            mask: as `attention_mask`, cut to the branches that are there.

        Returns:
            (B, 1 + L, D), (B, 1, D) or (B, L, D).
        """
        parts = [part for part in (query, text) if part is not None]
        x = torch.cat(parts, 1)
        x = x + self.self_attention(self.self_norm(x), mask=mask)
        split = 0 if query is None else 1
        q, t = x[:, :split], x[:, split:]
        if query is not None:
            q = q + self.cross_attention(self.cross_norm(q), audio)
            q = q + self.query_feed(self.query_norm(q))
        if text is not None:
            t = t + self.text_feed(self.text_norm(t))
        return torch.cat([q, t], 1)


class QAudio(nn.Module):
    """Global-semantic encoder of audio, and of text.

    G is compared with the text branch's first token directly, without the projections of BLIP-2, so
    that H1 regresses a feature in the very space that text and audio share.

    Args:
        config: sizes.
        audio_width: D of the AudioMAE features.
        text_width: width of the frozen text encoder.
    """

    def __init__(self, config: QAudioConfig, audio_width: int, text_width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(nn.init.normal_(torch.empty(1, 1, config.width), std=0.02))
        self.text_in = nn.Linear(text_width, config.width)
        self.layers = nn.ModuleList(QAudioLayer(config.width, config.heads, audio_width) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.temperature = nn.Parameter(torch.tensor(2.6))  # log of 1 / 0.07
        self.match = nn.Linear(config.width, 2)
        self.word_in = nn.Linear(text_width, config.width)
        self.word_out = nn.Linear(config.width, text_width)

    def _run(self, query: Tensor | None, text: Tensor | None, audio: Tensor | None, mask: Tensor | None) -> Tensor:
        for layer in self.layers:
            x = layer(query, text, audio, mask)
            split = 0 if query is None else 1
            query = x[:, :split] if query is not None else None
            text = x[:, split:] if text is not None else None
        out: Tensor = self.norm(x)
        return out

    def audio(self, local: Tensor) -> Tensor:
        """G (B, D) of S (B, P, D)."""
        return self._run(self.query.expand(len(local), -1, -1), None, local, None)[:, 0]

    def text(self, features: TextFeatures) -> Tensor:
        """T_cap (B, L, D); its first token is the caption's global feature."""
        mask = features.mask[:, None, None, :]  # (B, 1, 1, L)
        return self._run(None, self.text_in(features.tokens), None, mask)

    def matching(self, local: Tensor, features: TextFeatures) -> Tensor:
        """ITM logits (B, 2): do these sounds and captions belong together?"""
        query = self.query.expand(len(local), -1, -1)
        mask = attention_mask("itm", features.mask)
        fused = self._run(query, self.text_in(features.tokens), local, mask)
        out: Tensor = self.match(fused[:, 0])
        return out

    def generation(self, local: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """ITG: predict each next word from the sound and the words before.

        Words come as the vocabulary's own embeddings, since the frozen encoder's features of a token
        already know the words after it.

        Args:
            local: (B, P, D).
            words: (B, L, text_width) vocabulary embeddings.
            mask: (B, L).

        Returns:
            (B, L, text_width), to be compared with the embeddings of the vocabulary.
        """
        query = self.query.expand(len(local), -1, -1)
        fused = self._run(query, self.word_in(words), local, attention_mask("itg", mask))
        out: Tensor = self.word_out(fused[:, 1:])
        return out

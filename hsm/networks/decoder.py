"""H3, acoustic decoder: an autoregressive transformer over codec tokens, led by Ŝ. Paper: Sec. III-E1.

    Ŝ column (0.16 s) ──> 8 codec frames of condition ──┐
    start, a_0 ... a_(t-1) ──> table of codes ──────────+──> causal transformer ──> a_t, all groups at once

Departure: Ŝ and the tokens run along the same clock, so each frame is given its own column of Ŝ instead of
having to find it by attention; what a short training cannot learn need not be learnt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from hsm.features import CODEC_DELAY, CODEC_FRAMES_PER_COLUMN, PATCH_BANDS
from hsm.networks.codec import CodecConfig, digits_of, numbers_of
from hsm.networks.layers import TransformerBlock
from hsm.networks.mask_decoder import ConvBlock

CONTEXT = 512  # frames that a frame sees, itself included: 10.24 s
ROTATION_BASE = 10_000.0
END_SHARE = 0.5


@dataclass(frozen=True)
class DecoderConfig:
    """The autoregressive acoustic decoder. Paper: Sec. III-E1, IV-C.

    `condition_blocks`: convolutions over the condition, which see to both sides.
    `frame_width`: what a column of Ŝ tells each of its codec frames.
    `code_width`: of the table of codes.
    """

    width: int = 256
    layers: int = 4
    heads: int = 4
    condition_blocks: int = 2
    frame_width: int = 96
    code_width: int = 32


class Sampling(NamedTuple):
    """How tokens are drawn.

    Args:
        temperature: above 0; below 1 the likely tokens are drawn more often; 0 takes the entry nearest to
            the mean of all as likely as they are, for a codec without a lattice the likeliest.
        top_k: only so many of the likeliest tokens can be drawn.
        trust: in the history, 0 to 1; log-odds between those of Ŝ alone and those of Ŝ and the history.
    """

    temperature: float = 0.0
    top_k: int = 50
    trust: float = 0.5


class Cache(NamedTuple):
    """Keys and values (B, heads, frames, width / heads) of the frames that a block has seen."""

    keys: Tensor
    values: Tensor


@dataclass
class GenerationState:
    """What generation remembers between pieces: the blocks' caches, the last tokens (B, K), frames so far."""

    caches: list[Cache | None]
    last: Tensor
    position: int = 0


def rotate(x: Tensor, first: int) -> Tensor:
    """Rotary position code of (B, heads, L, d), whose rows are the frames from `first` on."""
    half = x.shape[-1] // 2
    rates = ROTATION_BASE ** (-torch.arange(half, device=x.device) / half)
    angle = torch.arange(first, first + x.shape[2], device=x.device).unsqueeze(-1) * rates  # (L, d / 2)
    one, other = x.chunk(2, -1)
    return torch.cat([one * angle.cos() - other * angle.sin(), one * angle.sin() + other * angle.cos()], -1)


class CausalBlock(TransformerBlock):
    """A transformer block in which a frame attends to itself and the frames before it."""

    def attend(self, x: Tensor, first: int, cache: Cache | None) -> tuple[Tensor, Cache]:
        """One stretch of frames.

        Args:
            x: (B, L, width).
            first: number of its first frame.
            cache: of the frames before it.

        Returns:
            (B, L, width), and the cache for what comes next.
        """
        y, attention, heads = self.attention_norm(x), self.attention, self.attention.heads
        q, k, v = (
            rearrange(linear(y), "b l (h d) -> b h l d", h=heads)
            for linear in (attention.query, attention.key, attention.value)
        )
        q, k = rotate(q, first), rotate(k, first)
        if cache is not None:
            k, v = torch.cat([cache.keys, k], 2), torch.cat([cache.values, v], 2)
        behind = k.shape[2] - q.shape[2]
        distance = torch.arange(behind, k.shape[2])[:, None] - torch.arange(k.shape[2])  # (L, frames)
        allowed = ((distance >= 0) & (distance < CONTEXT)).to(x.device)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)  # (B, heads, L, d)
        x = x + attention.out(rearrange(seen, "b h l d -> b l (h d)"))
        x = x + self.feed(self.feed_norm(x))
        return x, Cache(k[:, :, -(CONTEXT - 1) :], v[:, :, -(CONTEXT - 1) :])


class AcousticDecoder(nn.Module):
    """Predicts the tokens of a sound from its local-semantic features.

    Every group has a table of codes, the same for what goes in and what comes out; its last row is the
    start where it goes in and the end where it comes out. A lattice codec's codes begin as the digits of
    their entries, so that entries with a digit in common are alike from the first step on.

    Args:
        config: sizes.
        codec: sizes of the codec whose tokens it writes.
        feature_width: width D of Ŝ.
    """

    lattice: Tensor | None

    def __init__(self, config: DecoderConfig, codec: CodecConfig, feature_width: int) -> None:
        super().__init__()
        width, self.groups, self.boundary = config.width, codec.groups, codec.entries
        digits = digits_of(torch.arange(codec.entries), codec.levels, codec.digits)
        table = 0.02 * torch.randn(codec.groups, codec.entries + 1, config.code_width)
        if codec.levels * codec.digits <= config.code_width:
            table[:, :-1, : codec.levels * codec.digits] += F.one_hot(digits, codec.levels).flatten(1)
        self.table = nn.Parameter(table)
        # (entries, digits); None where the tokens are those of a codec without a lattice
        self.register_buffer("lattice", digits.float(), persistent=False)
        self.codes_in = nn.Linear(codec.groups * config.code_width, width)
        self.column_in = nn.Linear(PATCH_BANDS * feature_width, width)
        self.column_out = nn.Linear(width, CODEC_FRAMES_PER_COLUMN * config.frame_width)
        self.frame_in = nn.Linear(config.frame_width, width)
        self.around = nn.ModuleList(ConvBlock(width, 0, 2**i) for i in range(config.condition_blocks))
        self.blocks = nn.ModuleList(CausalBlock(width, config.heads) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.codes_out = nn.Linear(width, codec.groups * config.code_width)

    def condition(self, local: Tensor) -> Tensor:
        """What each frame is told.

        Args:
            local: Ŝ or S (B, P, D).

        Returns:
            (B, N + 1, C): the N = P + 3 frames of the sound, and the end behind them.
        """
        column = rearrange(local, "b (c f) d -> b c (f d)", f=PATCH_BANDS)  # (B, columns, 8 D)
        wide = self.column_out(F.gelu(self.column_in(column)))
        frames = self.frame_in(F.gelu(rearrange(wide, "b c (n e) -> b (c n) e", n=CODEC_FRAMES_PER_COLUMN)))
        for block in self.around:
            frames = block(frames, None)  # (B, 8 columns, C)
        return torch.cat([frames, frames[:, -1:].expand(-1, CODEC_DELAY + 1, -1)], 1)

    def _read(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """Tokens that go in (B, L, K) and the condition of the frames that come out: (B, L, C)."""
        group = torch.arange(self.groups, device=tokens.device)
        codes = self.table[group, tokens]  # (B, L, K, code width)
        out: Tensor = self.codes_in(codes.flatten(2)) + condition
        return out

    def _write(self, x: Tensor) -> Tensor:
        """(B, L, C) to log-odds (B, L, K, entries + 1)."""
        codes = rearrange(self.codes_out(self.norm(x)), "b l (k e) -> k (b l) e", k=self.groups)
        return rearrange(codes @ self.table.transpose(1, 2), "k (b l) v -> b l k v", b=len(x))

    def forward(self, condition: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing: every frame from the true ones before it.

        Args:
            condition: (B, L + 1, C) from `condition`.
            tokens: (B, L, K) what went before; a frame may hold `boundary`, whose prediction is of no use.

        Returns:
            Log-odds (B, L + 1, K, entries + 1) of every frame and of the one behind the last.
        """
        start = torch.full_like(tokens[:, :1], self.boundary)
        x = self._read(torch.cat([start, tokens], 1), condition)  # (B, L + 1, C)
        for block in self.blocks:
            x, _ = block.attend(x, 0, None)  # type: ignore[operator]
        return self._write(x)

    def without_history(self, condition: Tensor) -> Tensor:
        """Log-odds (B, L, K, entries + 1) of frames (B, L, C) from the condition alone."""
        return self._write(condition)

    def start(self, batch: int = 1) -> GenerationState:
        """The state before the first frame."""
        last = torch.full((batch, self.groups), self.boundary, device=self.table.device)
        return GenerationState([None] * len(self.blocks), last)

    def step(self, condition: Tensor, state: GenerationState) -> Tensor:
        """Log-odds of the next frame.

        Args:
            condition: (B, C) of that frame.
            state: brought up to date, but for `last`, which the caller sets to what is drawn.

        Returns:
            (B, K, entries + 1).
        """
        x = self._read(state.last.unsqueeze(1), condition.unsqueeze(1))  # (B, 1, C)
        for i, block in enumerate(self.blocks):
            x, state.caches[i] = block.attend(x, state.position, state.caches[i])  # type: ignore[operator]
        state.position += 1
        return self._write(x)[:, 0]

    def generate(
        self,
        condition: Tensor,
        sampling: Sampling,
        generator: torch.Generator,
        state: GenerationState | None = None,
        may_end: bool = False,
    ) -> Iterator[Tensor]:
        """Draw frame after frame; the same generator state gives the same tokens.

        Departure: a decoder trained for half an hour drifts where it believes its own history as much as it
        learnt to believe true ones; so what it says is drawn towards what Ŝ alone says.

        Args:
            condition: (B, n, C), rows of what `condition` returns.
            sampling: how to draw.
            generator: on the CPU.
            state: of what was drawn before; a new beginning where not given.
            may_end: whether to stop where the end is likelier than not, rather than after n frames.

        Yields:
            (B, K) tokens of each frame.
        """
        state = self.start(len(condition)) if state is None else state
        for frame in condition.unbind(1):
            alone = self.without_history(frame.unsqueeze(1))[:, 0].float().log_softmax(-1)  # (B, K, entries + 1)
            led = self.step(frame, state).float().log_softmax(-1)
            scores = torch.lerp(alone, led, sampling.trust)
            if may_end and bool((scores.softmax(-1)[..., -1].mean(1) > END_SHARE).all()):
                return
            state.last = draw(scores[..., :-1], sampling, generator, self.lattice)
            yield state.last


def draw(scores: Tensor, sampling: Sampling, generator: torch.Generator, lattice: Tensor | None = None) -> Tensor:
    """Draw entries.

    Args:
        scores: log-odds (..., entries).
        sampling: how.
        generator: on the CPU.
        lattice: (entries, digits) where entries are points of one, their numbers counted digit by digit.

    Returns:
        Their numbers (...).
    """
    if sampling.temperature == 0 and lattice is not None:
        levels = int(lattice.max()) + 1
        digits = (scores.softmax(-1) @ lattice).round().long()  # (..., digits), of the entry nearest to the mean
        return numbers_of(digits, levels)
    if sampling.temperature == 0:
        return scores.argmax(-1)
    best, where = scores.topk(min(sampling.top_k, scores.shape[-1]), -1)
    shares = (best / sampling.temperature).softmax(-1)
    pick = torch.multinomial(shares.flatten(0, -2).cpu(), 1, generator=generator).to(scores.device)
    return where.gather(-1, pick.view(*scores.shape[:-1], 1)).squeeze(-1)

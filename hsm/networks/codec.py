"""The neural codec: a wave as tokens and back, causal and streaming. Paper: Sec. III-E2, Table VIII.

    wave ──STFT──> magnitudes ──encoder──> groups of latents ──nearest entries──> tokens
    tokens ──entries──> decoder ──> magnitudes ──spectrogram inversion──> wave

16 kHz, 12 groups of 1,024 entries, 50 frames a second: 6 kbps. A frame of tokens stands for the two STFT
frames (40 ms, every 10 ms) that end in the middle and at the end of its hop of 20 ms. A block of 10 ms lies
under four STFT frames, whose phases are sought with a look at three more, so that a hop of sound is
complete `CODEC_DELAY` frames after its own; N hops need N + `CODEC_DELAY` frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from einops import rearrange
from torch import Tensor, nn

from hsm.features import CODEC_DELAY, CODEC_FFT, CODEC_HOP
from hsm.networks.layers import feed_forward
from hsm.networks.phase import OVERLAPS, PhaseState, SpectrogramInversion

BINS = CODEC_FFT // 2 + 1  # 321
STFT_HOP = CODEC_FFT // OVERLAPS  # 160
FRAMES_PER_HOP = CODEC_HOP // STFT_HOP  # 2
PAST = CODEC_FFT - STFT_HOP  # samples of the first STFT frame that lie before its hop
FLOOR = 1e-3  # of magnitudes, well below what is heard at the working level
TAPS = 4
DILATIONS = (1, 2, 4)


@dataclass(frozen=True)
class CodecConfig:
    """The codec: 12 groups of 4 ** 5 = 1,024 entries at 50 frames a second are 6 kbps. Paper: Sec. IV-C.

    `levels`, `digits`: an entry has so many channels, each at one of so many levels.
    """

    width: int = 256
    encoder_blocks: int = 4
    decoder_blocks: int = 5
    groups: int = 12
    levels: int = 4
    digits: int = 5

    @property
    def entries(self) -> int:
        """Entries of a group."""
        return self.levels**self.digits


class CausalBlock(nn.Module):
    """Depthwise convolution over the present and past frames, then a pointwise feed-forward.

    Args:
        width: channels C.
        dilation: frames between the kernel's taps.
    """

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation, self.reach = dilation, (TAPS - 1) * dilation
        self.taps = nn.Parameter(torch.randn(TAPS, width) * TAPS**-0.5)
        self.norm = nn.LayerNorm(width)
        self.feed = feed_forward(width)

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """One stretch of frames.

        Args:
            x: (B, N, C).
            past: (B, reach, C) inputs before them, zeros at the beginning.

        Returns:
            (B, N, C), and the past of what comes next.
        """
        seen = torch.cat([past, x], 1)  # (B, reach + N, C)
        # Sums of shifted frames: half the time of torch's depthwise convolution backwards.
        y = sum(self.taps[k] * seen[:, k * self.dilation :][:, : x.shape[1]] for k in range(TAPS))  # (B, N, C)
        return x + self.feed(self.norm(y)), seen[:, seen.shape[1] - self.reach :]


class CausalStack(nn.Module):
    """Causal blocks with growing dilation; five see 0.7 s of the past."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.width = width
        self.blocks = nn.ModuleList(CausalBlock(width, DILATIONS[i % len(DILATIONS)]) for i in range(blocks))

    def forward(self, x: Tensor, pasts: list[Tensor]) -> Tensor:
        """(B, N, C) to the same; `pasts`, one a block, is brought up to date."""
        for i, block in enumerate(self.blocks):
            x, pasts[i] = block(x, pasts[i])
        return x

    def start(self, batch: int, like: Tensor) -> list[Tensor]:
        """The pasts before the first frame."""
        reaches = [block.reach for block in self.blocks if isinstance(block, CausalBlock)]
        return [like.new_zeros(batch, reach, self.width) for reach in reaches]


class Quantised(NamedTuple):
    """What the quantiser returns.

    Args:
        latents: (B, N, K * E) the nearest entries; gradients pass as if nothing had been rounded.
        tokens: (B, N, K) their numbers.
    """

    latents: Tensor
    tokens: Tensor


def digits_of(numbers: Tensor, levels: int, width: int) -> Tensor:
    """Digits (..., width) of a lattice's entries with these numbers (...), the lowest first."""
    return numbers.unsqueeze(-1) // levels ** torch.arange(width, device=numbers.device) % levels


def numbers_of(digits: Tensor, levels: int) -> Tensor:
    """Numbers (...) of a lattice's entries with these digits (..., width)."""
    return (digits * levels ** torch.arange(digits.shape[-1], device=digits.device)).sum(-1)


class GroupQuantiser(nn.Module):
    """Each group of E channels to one of its entries. Paper: Sec. III-E2 (group VQ).

    Departure: the entries are the points of a lattice, each channel at one of few levels, rather than
    learnt. In the minutes that a CPU core has this was ahead of learnt entries from the first steps on; no
    entry can die, and no commitment loss is needed, as the latents are bounded.

    Args:
        groups: K.
        levels: of a channel, even; they stand at odd halves around zero.
        width: E, channels of a group; levels ** E entries.
    """

    def __init__(self, groups: int, levels: int, width: int) -> None:
        super().__init__()
        self.groups, self.levels, self.width = groups, levels, width

    def forward(self, latents: Tensor) -> Quantised:
        """Quantise (B, N, K * E) of any size."""
        half = self.levels // 2
        bounded = half * torch.tanh(latents.float())  # (B, N, K E)
        floor = bounded.detach().floor().clamp(-half, half - 1)
        passed = bounded + (floor + 0.5 - bounded).detach()  # straight through
        digits = rearrange((floor + half).long(), "b n (k e) -> b n k e", k=self.groups)
        return Quantised(passed, numbers_of(digits, self.levels))

    def lookup(self, tokens: Tensor) -> Tensor:
        """Entries (B, N, K * E) of tokens (B, N, K)."""
        digits = digits_of(tokens, self.levels, self.width)  # (B, N, K, E)
        return (digits.to(torch.float32) + 0.5 - self.levels // 2).flatten(2)


@dataclass
class EncoderState:
    """What an encoder remembers between pieces: the last samples (B, 480) and the blocks' pasts."""

    samples: Tensor
    pasts: list[Tensor]


@dataclass
class DecoderState:
    """What a decoder remembers between pieces: the blocks' pasts, the phases, and the blocks of 10 ms that
    lie before the sound and are still to be dropped."""

    pasts: list[Tensor]
    phases: PhaseState
    early: int = OVERLAPS - 1


class Codec(nn.Module):
    """Encoder, group quantiser and spectral decoder.

    Departures: TF-Codec's layers are 2-D convolutions and a gated recurrence over the complex spectrogram;
    these are wide 1-D convolutions at the frame rate over its magnitudes, several times faster on a CPU,
    and the phases are sought, not sent. A decoder that predicted them in 48 minutes of training reached a
    STOI of 0.64 on speech; magnitudes with sought phases start at 0.98.

    Args:
        config: sizes.
    """

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.groups, self.entries = config.groups, config.entries
        width, latent = config.width, config.groups * config.digits
        self.bins_in = nn.Linear(FRAMES_PER_HOP * BINS, width)
        self.encoder = CausalStack(width, config.encoder_blocks)
        self.encoder_norm = nn.LayerNorm(width)
        self.latents_out = nn.Linear(width, latent)
        nn.init.normal_(self.latents_out.weight, std=width**-0.5)  # so that outer levels are in use from the start
        self.quantiser = GroupQuantiser(config.groups, config.levels, config.digits)
        self.latents_in = nn.Linear(latent, width)
        self.decoder = CausalStack(width, config.decoder_blocks)
        self.decoder_norm = nn.LayerNorm(width)
        self.bins_out = nn.Linear(width, FRAMES_PER_HOP * BINS)
        self.inversion = SpectrogramInversion(CODEC_FFT)

    @staticmethod
    def frames_of(samples: int) -> int:
        """Frames N that a sound of S samples takes."""
        return -(-samples // CODEC_HOP) + CODEC_DELAY

    def start_encoding(self, batch: int = 1) -> EncoderState:
        """The state before the first piece."""
        like = self.bins_in.weight
        return EncoderState(like.new_zeros(batch, PAST), self.encoder.start(batch, like))

    def start_decoding(self, batch: int = 1) -> DecoderState:
        """The state before the first piece."""
        return DecoderState(self.decoder.start(batch, self.bins_in.weight), self.inversion.start(batch))

    def magnitudes(self, wave: Tensor, past: Tensor | None = None) -> Tensor:
        """Magnitudes (B, N, 2, F) of N hops of a sound (B, N * 320), `past` (B, 480) being what came before."""
        past = wave.new_zeros(len(wave), PAST) if past is None else past
        frames = torch.cat([past, wave], 1).unfold(1, CODEC_FFT, STFT_HOP)
        return torch.fft.rfft(frames * self.inversion.window).abs().view(len(wave), -1, FRAMES_PER_HOP, BINS)

    def latents(self, wave: Tensor, state: EncoderState) -> Tensor:
        """Latents (B, N, K * E) of the next N hops of a sound (B, N * 320), before rounding."""
        features = torch.log(self.magnitudes(wave, state.samples) + FLOOR).flatten(2) / 3 + 1  # about -1 to 2
        state.samples = torch.cat([state.samples, wave], 1)[:, -PAST:]
        x = self.encoder(self.bins_in(features), state.pasts)  # (B, N, C)
        out: Tensor = self.latents_out(self.encoder_norm(x))
        return out

    def spectrum(self, latents: Tensor, state: DecoderState) -> Tensor:
        """Log magnitudes (B, N, 2, F) of the next N frames (B, N, K * E)."""
        x = self.decoder(self.latents_in(latents), state.pasts)  # (B, N, C)
        logs: Tensor = self.bins_out(self.decoder_norm(x)).float()
        return (3 * (logs - 1)).clamp(max=12.0).view(*logs.shape[:2], FRAMES_PER_HOP, BINS)

    def synthesise(self, latents: Tensor, state: DecoderState) -> Tensor:
        """The sound that the next N frames (B, N, K * E) complete: (B, N * 320), less at first by the delay."""
        logs = self.spectrum(latents, state)
        blocks = self.inversion((logs.exp() - FLOOR).clamp(min=0).flatten(1, 2), state.phases)  # (B, n, 160)
        early = min(state.early, blocks.shape[1])
        state.early -= early
        return blocks[:, early:].flatten(1)

    @staticmethod
    def padded(wave: Tensor) -> Tensor:
        """A sound (B, S) with zeros to whole hops, and as many more as the last of them waits for."""
        return nn.functional.pad(wave, (0, Codec.frames_of(wave.shape[1]) * CODEC_HOP - wave.shape[1]))

    def encode(self, wave: Tensor) -> Tensor:
        """Tokens of a whole sound.

        Args:
            wave: (B, S) at 16 kHz, at the working level.

        Returns:
            (B, N, K), N = ceil(S / 320) + 3.
        """
        return self.encode_piece(self.padded(wave), self.start_encoding(len(wave)))

    def encode_piece(self, wave: Tensor, state: EncoderState) -> Tensor:
        """Tokens (B, N, K) of the next (B, N * 320) samples; the state is brought up to date."""
        return self.quantiser(self.latents(wave, state)).tokens

    def decode(self, tokens: Tensor) -> Tensor:
        """The sound of tokens.

        Args:
            tokens: (B, N, K), N at least 4.

        Returns:
            (B, (N - 3) * 320).
        """
        return self.decode_piece(tokens, self.start_decoding(len(tokens)))

    def decode_piece(self, tokens: Tensor, state: DecoderState) -> Tensor:
        """The sound (B, N * 320), three hops less at first, that the next tokens (B, N, K) complete."""
        return self.synthesise(self.quantiser.lookup(tokens), state)

    def forward(self, wave: Tensor) -> Tensor:
        """There and back but for the phases, for training.

        Args:
            wave: (B, N * 320).

        Returns:
            Log magnitudes (B, N, 2, F).
        """
        latents = self.quantiser(self.latents(wave, self.start_encoding(len(wave)))).latents
        return self.spectrum(latents, self.start_decoding(len(wave)))

"""Phases for the magnitudes of an STFT, frame after frame: real-time iterative spectrogram inversion.

A codec of 6 kbps has no bits for phases, and a small network does not learn to make them up: frames that
overlap with unfitting phases cancel each other. So the sound is sought whose magnitudes are the wanted
ones (Beauregard, Zhu & Wyse 2005, with the look-ahead of Zhu, Beauregard & Wyse 2007): a frame begins as
what the frames before it left where it lies, and then, together with the frames that follow it, takes
turns between the wanted magnitudes and what the frames add up to.

    settled   xxxxxxxxxxx
    frame k      (xxxxxxxx)          is settled next, and then the first of its blocks is sound
    k + 1           (xxxxxxxx)       looked ahead at, to be settled later
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

OVERLAPS = 4  # blocks, each a hop long, of a frame
LOOK_AHEAD = 3
ROUNDS = 3
SEED_LEVEL = 1e-5  # of the noise whose phases stand where there is no sound yet


@dataclass
class PhaseState:
    """What is remembered between pieces.

    Args:
        waiting: (B, M, F) magnitudes that are not settled yet.
        settled: (B, OVERLAPS + LOOK_AHEAD, hop) sum of the settled frames from the next frame's first
            block on.
        estimates: (B, 1 + LOOK_AHEAD, n_fft) the next frame and those looked ahead at.
    """

    waiting: Tensor
    settled: Tensor
    estimates: Tensor


class SpectrogramInversion(nn.Module):
    """A wave whose STFT has given magnitudes.

    Args:
        n_fft: samples of a frame, a multiple of `OVERLAPS`; the window is a Hann window.
    """

    window: Tensor
    seed: Tensor

    def __init__(self, n_fft: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, n_fft // OVERLAPS
        window = torch.hann_window(n_fft)
        noise = torch.randn(n_fft, generator=torch.Generator().manual_seed(0))
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("seed", SEED_LEVEL * torch.fft.rfft(noise * window), persistent=False)

    def start(self, batch: int = 1) -> PhaseState:
        """The state before the first frame."""
        empty = self.window.new_zeros
        return PhaseState(
            empty(batch, 0, self.n_fft // 2 + 1),
            empty(batch, OVERLAPS + LOOK_AHEAD, self.hop),
            empty(batch, 1 + LOOK_AHEAD, self.n_fft),
        )

    def forward(self, magnitudes: Tensor, state: PhaseState) -> Tensor:
        """The blocks that further frames settle.

        Args:
            magnitudes: (B, M, F) of the next frames.
            state: brought up to date.

        Returns:
            (B, n, hop): block k is the first of frame k, complete `LOOK_AHEAD` frames after it.
        """
        waiting = torch.cat([state.waiting, magnitudes], 1)
        settled, estimates, blocks = state.settled, state.estimates, []
        unit = self.window / self.window.square().sum() * self.hop
        ready = max(0, waiting.shape[1] - LOOK_AHEAD)
        for k in range(ready):
            wanted = waiting[:, k : k + 1 + LOOK_AHEAD]
            for _ in range(ROUNDS):
                heard = (settled + self._sum(estimates)).flatten(1).unfold(1, self.n_fft, self.hop)
                spectrum = torch.fft.rfft(heard * self.window) + self.seed  # (B, 1 + look-ahead, F)
                estimates = torch.fft.irfft(wanted * torch.sgn(spectrum), n=self.n_fft) * unit
            settled = settled + self._sum(nn.functional.pad(estimates[:, :1], (0, 0, 0, LOOK_AHEAD)))
            blocks.append(settled[:, 0])
            settled = nn.functional.pad(settled[:, 1:], (0, 0, 0, 1))
            estimates = nn.functional.pad(estimates[:, 1:], (0, 0, 0, 1))
        state.waiting, state.settled, state.estimates = waiting[:, ready:], settled, estimates
        return torch.stack(blocks, 1) if blocks else settled[:, :0]

    def _sum(self, frames: Tensor) -> Tensor:
        """Frames (B, 1 + LOOK_AHEAD, n_fft) overlapped and added: (B, OVERLAPS + LOOK_AHEAD, hop)."""
        parts = frames.view(*frames.shape[:2], OVERLAPS, self.hop)  # (B, frames, OVERLAPS, hop)
        pad = nn.functional.pad
        shifted = [pad(parts[:, :, i], (0, 0, i, OVERLAPS - 1 - i)) for i in range(OVERLAPS)]
        return torch.stack(shifted).sum(0)

"""AudioSep: a residual U-Net over the spectrogram, conditioned by FiLM.

    (T, F) -> 6 encoder blocks, each half as large and wider -> one block -> 6 decoder blocks -> (T, F)
                  |_________________________ skips _________________________|

Paper: "Separate Anything You Describe", Sec. III-B. Every layer is a 3x3 convolution over all frames and
bins, which is what makes it slow and large on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hsm.config import Config
from hsm.features import FRAMES_PER_COLUMN, RATE_HZ, STFT_BINS, STFT_FFT, STFT_HOP, stft, working_gain
from hsm.model import Query
from hsm.progress import Stopwatch
from hsm.separator import BASELINES, HSM, WindowMask
from hsm.windows import OVERLAP_COLUMNS, CrossFade, Window, batched


@dataclass(frozen=True)
class AudioSepConfig:
    """Sizes at 16 kHz. Paper: "Separate Anything You Describe", Sec. III-B, whose network hears 32 kHz.

    `width`: channels of its first encoder block, doubled in each of the next up to `widest`.
    """

    width: int = 8
    widest: int = 112
    blocks: int = 6
    condition_width: int = 128

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the encoder blocks."""
        return tuple(min(self.width * 2**i, self.widest) for i in range(self.blocks))


@dataclass(frozen=True)
class ResUNetConfig:
    """AudioSep's network at its paper's sizes, whose cost is compared with.

    `widths`: channels of its encoder blocks; each halves the bins, all but the last the frames too.
    """

    rate_hz: int = 32_000
    n_fft: int = 2_048
    hop: int = 320
    widths: tuple[int, ...] = (32, 64, 128, 256, 384, 384)
    condition_width: int = 512


class Activation(nn.Module):
    """Batch normalisation, then scale and shift by the condition (FiLM), then a leaky ReLU."""

    def __init__(self, channels: int, condition_width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, momentum=0.01)
        self.film = nn.Linear(condition_width, 2 * channels)
        nn.init.zeros_(self.film.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, C, T, F), condition (B, condition_width), to (B, C, T, F)."""
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)  # (B, C, 1, 1) each
        return F.leaky_relu_(torch.addcmul(shift, self.norm(x), 1 + scale), 0.01)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, each behind an `Activation`."""

    def __init__(self, channels_in: int, channels_out: int, condition_width: int) -> None:
        super().__init__()
        self.first = Activation(channels_in, condition_width)
        self.convolution1 = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.second = Activation(channels_out, condition_width)
        self.convolution2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        same = channels_in == channels_out
        self.shortcut: nn.Module = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """(B, channels_in, T, F) to (B, channels_out, T, F)."""
        y = self.convolution1(self.first(x, condition))
        out: Tensor = self.shortcut(x) + self.convolution2(self.second(y, condition))
        return out


class DecoderBlock(nn.Module):
    """A transposed convolution back to the skip's size, then a residual block over both."""

    def __init__(self, channels_in: int, channels_out: int, condition_width: int, factor: tuple[int, int]) -> None:
        super().__init__()
        self.activation = Activation(channels_in, condition_width)
        self.enlarge = nn.ConvTranspose2d(channels_in, channels_out, factor, stride=factor, bias=False)
        self.block = ResidualBlock(2 * channels_out, channels_out, condition_width)

    def forward(self, x: Tensor, skip: Tensor, condition: Tensor) -> Tensor:
        """(B, channels_in, T / t, F / f) and the skip (B, channels_out, T, F), to the skip's shape."""
        y = self.enlarge(self.activation(x, condition))
        out: Tensor = self.block(torch.cat([y, skip], 1), condition)
        return out


class ResUNet(nn.Module):
    """Predicts the described sound's spectrogram from the mixture's: a magnitude mask and a turn of the phase.

    Departure: its published code counts 39 M parameters, 12.6 M of which are Fourier transforms kept as
    matrices; here the FFT computes them, so this network is smaller and faster than that one. Scale and shift
    of FiLM are as in the paper; the published weights have the shift alone.

    Args:
        config: sizes.
    """

    def __init__(self, config: ResUNetConfig) -> None:
        super().__init__()
        self.config = config
        widths, condition = config.widths, config.condition_width
        # The last encoder block keeps its frames: 2 ** (blocks - 1) frames become one, 2 ** blocks bins do.
        self.factors = [(2, 2)] * (len(widths) - 1) + [(1, 2)]
        self.bins_norm = nn.BatchNorm1d(config.n_fft // 2, momentum=0.01)
        self.into = nn.Conv2d(1, widths[0], 1)
        self.encoder = nn.ModuleList(
            ResidualBlock(narrow, wide, condition) for narrow, wide in pairwise([widths[0], *widths])
        )
        self.middle = ResidualBlock(widths[-1], widths[-1], condition)
        self.decoder = nn.ModuleList(
            DecoderBlock(deep, shallow, condition, factor)
            for (shallow, deep), factor in reversed(
                list(zip(pairwise([*widths, widths[-1]]), self.factors, strict=True))
            )
        )
        self.out = nn.Conv2d(widths[0], 3, 1)

    def forward(self, spectrum: Tensor, condition: Tensor) -> Tensor:
        """Separate.

        Args:
            spectrum: (B, T, F) complex STFT of the mixture, F = n_fft / 2 + 1.
            condition: (B, condition_width) embedding of the description.

        Returns:
            (B, T, F) complex STFT of the target; nothing in the highest bin.
        """
        return self.gain(spectrum, condition) * spectrum

    def gain(self, spectrum: Tensor, condition: Tensor) -> Tensor:
        """What `forward` multiplies the mixture by: complex (B, T, F), at most 1 in size, 0 in the highest bin."""
        frames = spectrum.shape[1]
        magnitude = spectrum.abs()[..., :-1]  # (B, T, F - 1), a power of two
        x = self.bins_norm(magnitude.transpose(1, 2)).transpose(1, 2)
        multiple = 2 ** (len(self.factors) - 1)
        x = self.into(F.pad(x, (0, 0, 0, -frames % multiple)).unsqueeze(1))  # (B, C, T', F - 1)
        skips = []
        for block, factor in zip(self.encoder, self.factors, strict=True):
            x = block(x, condition)
            skips.append(x)
            x = F.avg_pool2d(x, factor)
        x = self.middle(x, condition)
        for block in self.decoder:
            x = block(x, skips.pop(), condition)
        mask, real, imaginary = self.out(x)[:, :, :frames].float().unbind(1)  # (B, T, F - 1) each
        turn = torch.complex(real.tanh(), imaginary.tanh())
        gain = mask.sigmoid() * turn / turn.abs().clamp_min(1e-8)
        return F.pad(gain, (0, 1))


class AudioSep(nn.Module):
    """The baseline as it is trained here: the description's sentence embedding steers a `ResUNet`.

    Departure: 16 kHz and the STFT of the mask decoder in place of 32 kHz and frames of 10 ms, and our frozen text
    encoder in place of CLAP's. How many mixtures it has seen beside ours is in `weights/manifest.json`.

    Args:
        config: sizes.
        text_width: width of the text encoder's features.
    """

    def __init__(self, config: AudioSepConfig, text_width: int) -> None:
        super().__init__()
        self.text_in = nn.Linear(text_width, config.condition_width)  # with FiLM's own layer, the paper's two
        self.network = ResUNet(ResUNetConfig(RATE_HZ, STFT_FFT, STFT_HOP, config.widths, config.condition_width))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a quarter faster on a CPU

    def forward(self, spectrum: Tensor, text: Tensor) -> Tensor:
        """The described sound's share of every bin, with a turn of its phase.

        Args:
            spectrum: (B, T, 513) complex STFT of the mixture at the working level.
            text: (B, text_width) sentence embedding of the description, of unit length.

        Returns:
            (B, T, 513) complex, at most 1 in size, to multiply the spectrum by.
        """
        condition = F.silu(self.text_in(text * text.shape[-1] ** 0.5))  # entries near 1, as in the mask decoder
        return self.network.gain(spectrum, condition)


SIZES = {
    "paper": AudioSepConfig(width=32, widest=384, condition_width=512),
    "tiny": AudioSepConfig(width=2, widest=4, blocks=3, condition_width=8),
}


class AudioSepBaseline:
    """AudioSep in the place of the hierarchy: steered by the text alone."""

    def build(self, config: Config) -> AudioSep:
        """The network at a configuration's size."""
        return AudioSep(SIZES.get(config.name, AudioSepConfig()), config.text.width)

    @torch.inference_mode()
    def masks(
        self, model: HSM, pieces: Iterable[tuple[Window, Tensor]], columns: int, query: Query, watch: Stopwatch
    ) -> Iterator[WindowMask]:
        """Masks of windows in order, cross-faded as complex numbers, which is what cross-fading waves would do."""
        network = model.model.network("audiosep")
        mask = CrossFade(columns * FRAMES_PER_COLUMN + 1, STFT_BINS, torch.complex64)
        for group in batched(pieces, model.windows_at_once):
            with watch.stage("render", group[0][0].first / columns):
                samples = torch.stack([samples for _, samples in group])  # (B, S)
                waves = (samples * working_gain(samples)).to(model.model.device)
                gains = network(stft(waves), query.sentence.expand(len(group), -1)).cpu()  # (B, T, F)
            for (window, _), gain in zip(group, gains, strict=True):
                ends = window.first + window.count == columns
                kept = 1 - gain if int(query.task) else gain  # "remove" is what the described sound leaves
                mask.add(window.first_frame, kept, OVERLAP_COLUMNS * FRAMES_PER_COLUMN, window.first == 0, ends)
                done = window.next_first(columns)
                yield WindowMask(window, mask.result() if ends else mask.take(done * FRAMES_PER_COLUMN))


BASELINES["audiosep"] = AudioSepBaseline()

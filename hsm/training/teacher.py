"""The sound encoder's teacher: a tagger of AudioSet, MobileNetV3-Large at width 0.4 (EfficientAT), for training only.

Schmid et al., "Efficient Large-Scale Audio Tagging via Transformer-to-CNN Knowledge Distillation" (ICASSP 2023). Its
weights are read from a file that the user has and are never written.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hsm.errors import HSMError
from hsm.features import MEL_HOP, RATE_HZ, hz_to_mel

FFT, WINDOW, BANDS = 512, 400, 128  # at 16 kHz; the teacher's own 1,024 and 800 at 32 kHz have the same spacing
TOP_HZ, PRE_EMPHASIS = 15_000.0, 0.97
LABELS = 527
# width, width inside, width after, kernel, stride, squeezed width (0 for none), hard swish
BLOCKS = (
    (8, 8, 8, 3, 1, 0, False), (8, 24, 16, 3, 2, 0, False), (16, 32, 16, 3, 1, 0, False),
    (16, 32, 16, 5, 2, 8, False), (16, 48, 16, 5, 1, 16, False), (16, 48, 16, 5, 1, 16, False),
    (16, 96, 32, 3, 2, 0, True), (32, 80, 32, 3, 1, 0, True), (32, 72, 32, 3, 1, 0, True), (32, 72, 32, 3, 1, 0, True),
    (32, 192, 48, 3, 1, 48, True), (48, 272, 48, 3, 1, 72, True), (48, 272, 64, 5, 2, 72, True),
    (64, 384, 64, 5, 1, 96, True), (64, 384, 64, 5, 1, 96, True),
)  # fmt: skip
TOLD = (6, 12, 16)  # blocks whose maps the student learns: of half patches, of patches, wide
MAP_WIDTHS = (16, 48, 384)


class Lesson(NamedTuple):
    """The teacher's maps (B, frames, bands, width) on the student's bands, pooled (B, 384), logits (B, 527)."""

    maps: tuple[Tensor, ...]
    pooled: Tensor
    logits: Tensor


def _convolution(narrow: int, wide: int, kernel: int, stride: int, groups: int, act: nn.Module | None) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(narrow, wide, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(wide, eps=1e-3),
    ]
    return nn.Sequential(*layers, *([act] if act else []))


class _Squeeze(nn.Module):
    """Channels scaled by what the whole window holds."""

    def __init__(self, width: int, squeezed: int) -> None:
        super().__init__()
        self.conc_se_layers = nn.ModuleList(
            [nn.ModuleDict({"fc1": nn.Linear(width, squeezed), "fc2": nn.Linear(squeezed, width)})]
        )

    def forward(self, x: Tensor) -> Tensor:
        layers: nn.ModuleDict = self.conc_se_layers[0]  # type: ignore[assignment]
        return x * layers["fc2"](F.relu(layers["fc1"](x.mean((2, 3))))).sigmoid()[:, :, None, None]


class _Block(nn.Module):
    """An inverted residual."""

    def __init__(self, narrow: int, inside: int, after: int, kernel: int, stride: int, squeezed: int, hard: bool):
        super().__init__()
        act = nn.Hardswish if hard else nn.ReLU
        self.block = nn.Sequential(
            *([_convolution(narrow, inside, 1, 1, 1, act())] if inside != narrow else []),
            _convolution(inside, inside, kernel, stride, inside, act()),
            *([_Squeeze(inside, squeezed)] if squeezed else []),
            _convolution(inside, after, 1, 1, 1, None),
        )
        self.residual = stride == 1 and narrow == after

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.residual else self.block(x)


class Teacher(nn.Module):
    """The network, frozen; with random weights unless `load` makes it."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _convolution(1, 8, 3, 2, 1, nn.Hardswish()),
            *(_Block(*sizes) for sizes in BLOCKS),
            _convolution(64, MAP_WIDTHS[-1], 1, 1, 1, nn.Hardswish()),
        )
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(1),
            nn.Linear(MAP_WIDTHS[-1], 512),
            nn.Hardswish(),
            nn.Dropout(),
            nn.Linear(512, LABELS),
        )
        self.eval().requires_grad_(False)
        bins_hz = torch.arange(FFT // 2 + 1) * (RATE_HZ / FFT)
        mel = torch.tensor([hz_to_mel(float(hz)) for hz in bins_hz])
        edges = torch.linspace(0, hz_to_mel(TOP_HZ), BANDS + 2)
        rising, falling = (mel[:, None] - edges[:-2]) / edges.diff()[:-1], (edges[2:] - mel[:, None]) / edges.diff()[1:]
        turn = torch.cos(2 * torch.pi * bins_hz / (2 * RATE_HZ))
        response = 1 + PRE_EMPHASIS**2 - 2 * PRE_EMPHASIS * turn  # of the pre-emphasis at 32 kHz, on power
        filters = torch.minimum(rising, falling).clamp_min(0) * response[:, None] * 4  # half the window: a quarter
        self.register_buffer("filters", filters, persistent=False)  # (bins, bands)

    @staticmethod
    def load(path: Path) -> Teacher:
        """With its published weights; `HSMError` for a file that is missing or of another form."""
        if not path.is_file():
            raise HSMError(f"--teacher: there is no file {path}; wanted EfficientAT's mn04_as state dict.")
        teacher = Teacher()
        try:
            teacher.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        except RuntimeError as error:
            raise HSMError(f"--teacher {path.name}: not the network that is wanted, EfficientAT's mn04_as.") from error
        return teacher

    def mel(self, wave: Tensor) -> Tensor:
        """Its own log-mel (B, bands, T) of (B, S) at 16 kHz."""
        window = torch.hann_window(WINDOW, periodic=False, device=wave.device)
        spectrum = torch.stft(wave, FFT, MEL_HOP, WINDOW, window, return_complex=True)  # (B, bins, T)
        power = spectrum.abs().square().transpose(1, 2) @ self.filters  # type: ignore[operator]
        return ((power + 1e-5).log() + 4.5).transpose(1, 2) / 5

    @staticmethod
    def _on_our_bands(x: Tensor) -> Tensor:
        """(B, C, bands, frames) up to 15 kHz to (B, frames, bands, C) up to 8 kHz; both scales are HTK's mel."""
        count = x.shape[2]
        place = (torch.arange(count, device=x.device) + 0.5) * (hz_to_mel(RATE_HZ / 2) / hz_to_mel(TOP_HZ)) - 0.5
        below = place.clamp_min(0).floor().long()
        share = (place.clamp_min(0) - below)[:, None]
        x = x.permute(0, 3, 2, 1)  # (B, frames, bands, C)
        return x[:, :, below] * (1 - share) + x[:, :, (below + 1).clamp_max(count - 1)] * share

    @torch.no_grad()
    def forward(self, wave: Tensor) -> Lesson:
        """The lesson on (B, S) at 16 kHz; peaks near 0.6 are what it was trained on."""
        x = self.mel(wave)[:, None, :, : wave.shape[1] // MEL_HOP].contiguous()
        maps = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in TOLD:
                maps.append(self._on_our_bands(x.float()))
        return Lesson(tuple(maps), x.mean((2, 3)).float(), self.classifier(x).float())

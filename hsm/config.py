"""Sizes of every network, and nothing else."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from hsm.errors import HSMError


@dataclass(frozen=True)
class TextConfig:
    """The frozen text encoder: "minilm" (packaged), "tiny" (random), or a transformers name or path."""

    encoder: str = "minilm"
    width: int = 384
    max_tokens: int = 64


@dataclass(frozen=True)
class AudioMAEConfig:
    """Encoder and pretraining decoder. Paper: Sec. III-B1, Sec. V-D.

    `cells`: whether the sound encoder's features stand beside the patches; the paper's has none.
    """

    width: int = 256
    layers: int = 6
    heads: int = 4
    decoder_width: int = 192
    decoder_layers: int = 2
    decoder_heads: int = 3
    cells: bool = True


@dataclass(frozen=True)
class QAudioConfig:
    """One learnable query, shared self-attention. Paper: Sec. III-B2, IV-C."""

    width: int = 256
    layers: int = 2
    heads: int = 4


@dataclass(frozen=True)
class SeparatorConfig:
    """A NAR transformer, of H1 or of H2. Paper: Sec. III-C, III-D, IV-C."""

    width: int = 256
    layers: int = 6
    heads: int = 4


@dataclass(frozen=True)
class SoundEncoderConfig:
    """The pretrained sound encoder; channels of its first block, doubled in each of the next three."""

    channels: int = 64

    @property
    def width(self) -> int:
        """Width of its features."""
        return 8 * self.channels


@dataclass(frozen=True)
class MaskConfig:
    """The mask renderer: blocks that hear the mixture alone, then blocks that know the description.

    A self-attention follows every second convolution block.
    """

    width: int = 320
    mixture_blocks: int = 4
    described_blocks: int = 4
    heads: int = 5
    condition_width: int = 384
    cell_width: int = 64


@dataclass(frozen=True)
class PresenceConfig:
    """Naming what a mixture holds; `names`: how many sounds it knows by name."""

    width: int = 512
    names: int = 192


@dataclass(frozen=True)
class ResUNetConfig:
    """AudioSep's network at its paper's sizes, whose cost is compared with; stands alone and is no part of a `Config`.

    `widths`: channels of its encoder blocks; each halves the bins, all but the last the frames too.
    """

    rate_hz: int = 32_000
    n_fft: int = 2_048
    hop: int = 320
    widths: tuple[int, ...] = (32, 64, 128, 256, 384, 384)
    condition_width: int = 512


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


@dataclass(frozen=True)
class AudioSepConfig:
    """The rival, at 16 kHz. Paper: "Separate Anything You Describe", Sec. III-B, whose network hears 32 kHz.

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
class Config:
    """All sizes of one system."""

    name: str
    text: TextConfig
    sound_encoder: SoundEncoderConfig
    audiomae: AudioMAEConfig
    q_audio: QAudioConfig
    global_separator: SeparatorConfig
    local_separator: SeparatorConfig
    mask: MaskConfig
    presence: PresenceConfig
    codec: CodecConfig
    decoder: DecoderConfig
    audiosep: AudioSepConfig

    def to_dict(self) -> dict[str, Any]:
        """Nested dict, the inverse of `config_from_dict`."""
        return dataclasses.asdict(self)


_PARTS = {
    "text": TextConfig,
    "sound_encoder": SoundEncoderConfig,
    "audiomae": AudioMAEConfig,
    "q_audio": QAudioConfig,
    "global_separator": SeparatorConfig,
    "local_separator": SeparatorConfig,
    "mask": MaskConfig,
    "presence": PresenceConfig,
    "codec": CodecConfig,
    "decoder": DecoderConfig,
    "audiosep": AudioSepConfig,
}


def _exact(cls: type, values: dict[str, Any], where: str) -> Any:
    wanted = {f.name for f in dataclasses.fields(cls)}
    if set(values) != wanted:
        unknown, missing = sorted(set(values) - wanted), sorted(wanted - set(values))
        raise HSMError(f"{where}: unknown keys {unknown}, missing keys {missing}; wanted exactly {sorted(wanted)}.")
    return cls(**values)


def config_from_dict(values: dict[str, Any]) -> Config:
    """Read a configuration; every key must be known and present.

    Args:
        values: as `Config.to_dict` writes them.

    Returns:
        The configuration.

    Raises:
        HSMError: naming the unknown or missing keys.
    """
    parts = {
        key: _exact(_PARTS[key], value, f"config.{key}") if key in _PARTS else value for key, value in values.items()
    }
    config: Config = _exact(Config, parts, "config")
    return config


def paper() -> Config:
    """The paper's sizes: FLAN-T5-base, ViT-B/16, H1 6 x 768, H2 12 x 768. Paper: Sec. III, IV-C."""
    return Config(
        name="paper",
        text=TextConfig(encoder="google/flan-t5-base", width=768),
        sound_encoder=SoundEncoderConfig(),
        audiomae=AudioMAEConfig(768, 12, 12, 384, 4, 8, cells=False),
        q_audio=QAudioConfig(768, 2, 12),
        global_separator=SeparatorConfig(768, 6, 8),
        local_separator=SeparatorConfig(768, 12, 8),
        mask=MaskConfig(768, 4, 12, 12, 768, 64),
        presence=PresenceConfig(1024, 512),
        codec=CodecConfig(288, 5, 6),
        decoder=DecoderConfig(1024, 12, 8, 2, 256, 64),
        audiosep=AudioSepConfig(32, 384, 6, 512),
    )


def small() -> Config:
    """The bundled weights: sizes that two CPU cores can train and run."""
    return Config(
        name="small",
        text=TextConfig(),
        sound_encoder=SoundEncoderConfig(),
        audiomae=AudioMAEConfig(),
        q_audio=QAudioConfig(),
        global_separator=SeparatorConfig(256, 6, 4),
        local_separator=SeparatorConfig(256, 6, 4),
        mask=MaskConfig(),
        presence=PresenceConfig(),
        codec=CodecConfig(),
        decoder=DecoderConfig(),
        audiosep=AudioSepConfig(),
    )


def tiny() -> Config:
    """For tests: the same code path in milliseconds."""
    return Config(
        name="tiny",
        text=TextConfig(encoder="tiny", width=32),
        sound_encoder=SoundEncoderConfig(2),
        audiomae=AudioMAEConfig(32, 2, 2, 16, 1, 2),
        q_audio=QAudioConfig(32, 2, 2),
        global_separator=SeparatorConfig(32, 2, 2),
        local_separator=SeparatorConfig(32, 2, 2),
        mask=MaskConfig(32, 2, 2, 2, 32, 4),
        presence=PresenceConfig(16, 3),
        codec=CodecConfig(16, 2, 2, 3, 2, 3),
        decoder=DecoderConfig(32, 2, 2, 1, 8, 8),
        audiosep=AudioSepConfig(2, 4, 3, 8),
    )


CONFIGS = {"paper": paper, "small": small, "tiny": tiny}

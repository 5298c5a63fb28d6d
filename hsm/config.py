"""One system's sizes: a field for each network, whose own sizes stand beside it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

from hsm.errors import HSMError
from hsm.networks.audiomae import AudioMAEConfig
from hsm.networks.codec import CodecConfig
from hsm.networks.decoder import DecoderConfig
from hsm.networks.mask_decoder import MaskDecoderConfig
from hsm.networks.q_audio import QAudioConfig
from hsm.networks.separators import SeparatorConfig
from hsm.networks.sound_encoder import SoundEncoderConfig
from hsm.networks.tagger import TaggerConfig
from hsm.text import TextConfig


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
    mask: MaskDecoderConfig
    tagger: TaggerConfig
    codec: CodecConfig
    decoder: DecoderConfig

    def to_dict(self) -> dict[str, Any]:
        """Nested dict as JSON gives it back, the inverse of `config_from_dict`."""
        found: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return found


def config_from_dict(values: dict[str, Any]) -> Config:
    """A configuration as `Config.to_dict` wrote it; `HSMError` names the keys that are unknown or missing."""
    return _exact(Config, values, "config")


def _exact(cls: type, values: Any, where: str) -> Any:
    if not dataclasses.is_dataclass(cls):
        return tuple(values) if isinstance(values, list) else values
    kinds = get_type_hints(cls)
    if not isinstance(values, dict) or set(values) != set(kinds):
        found = set(values) if isinstance(values, dict) else set()
        unknown, missing = sorted(found - set(kinds)), sorted(set(kinds) - found)
        raise HSMError(f"{where}: unknown keys {unknown}, missing keys {missing}; wanted exactly {sorted(kinds)}.")
    return cls(**{key: _exact(kinds[key], value, f"{where}.{key}") for key, value in values.items()})


SMALL = Config(  # the bundled weights: what two CPU cores can train and run
    "small",
    text=TextConfig(),
    sound_encoder=SoundEncoderConfig(),
    audiomae=AudioMAEConfig(),
    q_audio=QAudioConfig(),
    global_separator=SeparatorConfig(),
    local_separator=SeparatorConfig(),
    mask=MaskDecoderConfig(),
    tagger=TaggerConfig(),
    codec=CodecConfig(),
    decoder=DecoderConfig(),
)

PAPER = replace(  # Paper: Sec. III, IV-C
    SMALL,
    name="paper",
    text=TextConfig(encoder="google/flan-t5-base", width=768),
    audiomae=AudioMAEConfig(
        width=768, layers=12, heads=12, decoder_width=384, decoder_layers=4, decoder_heads=8, tiles=False
    ),
    q_audio=QAudioConfig(width=768, layers=2, heads=12),
    global_separator=SeparatorConfig(width=768, layers=6, heads=8),
    local_separator=SeparatorConfig(width=768, layers=12, heads=8),
    mask=MaskDecoderConfig(
        width=768, mixture_blocks=4, described_blocks=12, heads=12, condition_width=768, tile_width=64
    ),
    codec=CodecConfig(width=288, encoder_blocks=5, decoder_blocks=6),
    decoder=DecoderConfig(width=1024, layers=12, heads=8, frame_width=256, code_width=64),
)

TINY = replace(  # for tests: the same code path in milliseconds
    SMALL,
    name="tiny",
    text=TextConfig(encoder="tiny", width=32),
    sound_encoder=SoundEncoderConfig(stem=(4, 4), widths=(8, 8, 16), blocks=(1, 1, 1), expansions=(2, 2, 2)),
    audiomae=AudioMAEConfig(width=32, layers=2, heads=2, decoder_width=16, decoder_layers=1, decoder_heads=2),
    q_audio=QAudioConfig(width=32, layers=2, heads=2),
    global_separator=SeparatorConfig(width=32, layers=2, heads=2),
    local_separator=SeparatorConfig(width=32, layers=2, heads=2),
    mask=MaskDecoderConfig(width=32, mixture_blocks=2, described_blocks=2, heads=2, condition_width=32, tile_width=4),
    tagger=TaggerConfig(width=16, names=3),
    codec=CodecConfig(width=16, encoder_blocks=2, decoder_blocks=2, groups=3, levels=2, digits=3),
    decoder=DecoderConfig(width=32, layers=2, heads=2, condition_blocks=1, frame_width=8, code_width=8),
)

CONFIGS = {config.name: config for config in (PAPER, SMALL, TINY)}

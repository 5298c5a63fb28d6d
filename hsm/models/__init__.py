"""The networks: tensors in, tensors out.

Axes: B batch, S samples, M mel bins, T frames, F STFT bins, P patches, L text tokens, D width of the
semantic features, C width inside a network, W width of the frozen text encoder, N codec frames,
K codebooks, E width of their entries (in the sound encoder: of its features).
"""

from __future__ import annotations

from torch import nn

from hsm.config import Config
from hsm.models.audiomae import AudioMAE
from hsm.models.codec import Codec
from hsm.models.decoder import AcousticDecoder
from hsm.models.instruction_net import InstructionNet
from hsm.models.mask_renderer import MaskRenderer
from hsm.models.q_audio import QAudio
from hsm.models.separators import GlobalSeparator, LocalSeparator
from hsm.models.sound_encoder import SoundEncoder


def build_modules(config: Config) -> dict[str, nn.Module]:
    """Every network of a configuration by its name in a weight folder, with random weights."""
    local, text = config.audiomae.width, config.text.width
    assert config.q_audio.width == local, "H2 attends to G and S in one width"
    cells = config.sound_encoder.width
    return {
        "sound_encoder": SoundEncoder(config.sound_encoder),
        "audiomae": AudioMAE(config.audiomae, cells),
        "q_audio": QAudio(config.q_audio, local, text),
        "global_separator": GlobalSeparator(config.global_separator, local, text),
        "local_separator": LocalSeparator(config.local_separator, local, text),
        "mask": MaskRenderer(config.mask, text, local, cells),
        "codec": Codec(config.codec),
        "decoder": AcousticDecoder(config.decoder, config.codec, local),
        "instruction": InstructionNet(text),
    }

"""The networks: tensors in, tensors out.

Axes: B batch, S samples, M mel bins, T frames, F STFT bins, P patches, L text tokens, D width of the
semantic features, C width inside a network, W width of the frozen text encoder, N codec frames,
K codebooks, E width of their entries (in the sound encoder: of its features).
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from torch import nn

from hsm.config import Config
from hsm.models.audiomae import AudioMAE
from hsm.models.codec import Codec
from hsm.models.decoder import AcousticDecoder
from hsm.models.instruction_net import InstructionNet
from hsm.models.mask_renderer import MaskRenderer
from hsm.models.presence import PresenceNet
from hsm.models.q_audio import QAudio
from hsm.models.resunet import AudioSep
from hsm.models.separators import GlobalSeparator, LocalSeparator
from hsm.models.sound_encoder import SoundEncoder

NETWORKS = (
    "sound_encoder",
    "audiomae",
    "q_audio",
    "global_separator",
    "local_separator",
    "mask",
    "presence",
    "codec",
    "decoder",
    "instruction",
    "audiosep",
)


def build_modules(config: Config, names: Collection[str] = NETWORKS) -> dict[str, nn.Module]:
    """Networks of a configuration by their name in a weight folder, with random weights; all of them unless named."""
    local, text = config.audiomae.width, config.text.width
    assert config.q_audio.width == local, "H2 attends to G and S in one width"
    cells = config.sound_encoder.width
    makers: dict[str, Callable[[], nn.Module]] = {
        "sound_encoder": lambda: SoundEncoder(config.sound_encoder),
        "audiomae": lambda: AudioMAE(config.audiomae, cells),
        "q_audio": lambda: QAudio(config.q_audio, local, text),
        "global_separator": lambda: GlobalSeparator(config.global_separator, local, text),
        "local_separator": lambda: LocalSeparator(config.local_separator, local, text),
        "mask": lambda: MaskRenderer(config.mask, text, local, cells),
        "presence": lambda: PresenceNet(config.presence, config.mask.width, text),
        "codec": lambda: Codec(config.codec),
        "decoder": lambda: AcousticDecoder(config.decoder, config.codec, local),
        "instruction": lambda: InstructionNet(text),
        "audiosep": lambda: AudioSep(config.audiosep, text),
    }
    return {name: makers[name]() for name in NETWORKS if name in names}

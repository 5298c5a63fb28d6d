"""The networks of one system by name."""

from __future__ import annotations

from collections.abc import Callable, Collection

from torch import nn

from hsm.config import Config
from hsm.networks.audiomae import AudioMAE
from hsm.networks.codec import Codec
from hsm.networks.decoder import AcousticDecoder
from hsm.networks.instruction_net import InstructionNet
from hsm.networks.mask_decoder import MaskDecoder
from hsm.networks.q_audio import QAudio
from hsm.networks.resunet import AudioSep
from hsm.networks.separators import GlobalSeparator, LocalSeparator
from hsm.networks.sound_encoder import SoundEncoder
from hsm.networks.tagger import Tagger

_MAKERS: dict[str, Callable[[Config], nn.Module]] = {
    "sound_encoder": lambda c: SoundEncoder(c.sound_encoder),
    "audiomae": lambda c: AudioMAE(c.audiomae, c.sound_encoder.width),
    "q_audio": lambda c: QAudio(c.q_audio, c.audiomae.width, c.text.width),
    "global_separator": lambda c: GlobalSeparator(c.global_separator, c.audiomae.width, c.text.width),
    "local_separator": lambda c: LocalSeparator(c.local_separator, c.audiomae.width, c.text.width),
    "mask": lambda c: MaskDecoder(c.mask, c.text.width, c.audiomae.width, c.sound_encoder.width),
    "presence": lambda c: Tagger(c.presence, c.mask.width, c.text.width),
    "codec": lambda c: Codec(c.codec),
    "decoder": lambda c: AcousticDecoder(c.decoder, c.codec, c.audiomae.width),
    "instruction": lambda c: InstructionNet(c.text.width),
    "audiosep": lambda c: AudioSep(c.audiosep, c.text.width),
}
NETWORKS = tuple(_MAKERS)


def build_modules(config: Config, names: Collection[str] = NETWORKS) -> dict[str, nn.Module]:
    """Networks of a configuration by their name in a weight folder, with random weights; all of them unless named."""
    assert config.q_audio.width == config.audiomae.width, "H2 attends to G and S in one width"
    return {name: make(config) for name, make in _MAKERS.items() if name in names}

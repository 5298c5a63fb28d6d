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

_MAKERS: dict[str, Callable[[Config], nn.Module]] = {
    "sound_encoder": lambda c: SoundEncoder(c.sound_encoder),
    "audiomae": lambda c: AudioMAE(c.audiomae, c.sound_encoder.width),
    "q_audio": lambda c: QAudio(c.q_audio, c.audiomae.width, c.text.width),
    "global_separator": lambda c: GlobalSeparator(c.global_separator, c.audiomae.width, c.text.width),
    "local_separator": lambda c: LocalSeparator(c.local_separator, c.audiomae.width, c.text.width),
    "mask": lambda c: MaskRenderer(c.mask, c.text.width, c.audiomae.width, c.sound_encoder.width),
    "presence": lambda c: PresenceNet(c.presence, c.mask.width, c.text.width),
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

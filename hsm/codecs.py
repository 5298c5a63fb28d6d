"""Public codecs in the place of ours, by name or folder of `transformers`. Paper: Table VIII.

`descript/dac_16khz` has the same grid as ours, 12 codebooks of 1,024 entries at 50 frames a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from hsm.errors import HSMError
from hsm.features import CODEC_DELAY, RATE_HZ
from hsm.resampling import resample

KINDS = ("dac", "encodec")


def _at_rate(wave: Tensor, rate_hz: int, wanted_hz: int) -> Tensor:
    rows: Iterable[Tensor] = wave.cpu().unbind(0)
    return torch.stack([torch.cat(list(resample([row], rate_hz, wanted_hz))) for row in rows]).to(wave.device)


class TransformersCodec(nn.Module):
    """A `DacModel` or `EncodecModel` with the interface of `hsm.networks.codec.Codec`.

    Its convolutions see to both sides, so pieces are decoded apart from each other.

    Args:
        model: of `transformers`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        settings: Any = model.config
        self.model: Any = model
        self.kind, self.rate_hz, self.entries = settings.model_type, settings.sampling_rate, settings.codebook_size
        if self.kind == "dac":
            self.hop, self.groups = settings.hop_length, settings.n_codebooks
        else:
            self.hop = math.ceil(self.rate_hz / settings.frame_rate)
            bits = (self.entries - 1).bit_length() * settings.frame_rate
            # The highest of its bit rates that is not above ours.
            self.bandwidth = max(settings.target_bandwidths[:1] + [b for b in settings.target_bandwidths if b <= 6])
            self.groups = int(self.bandwidth * 1_000 // bits)

    @property
    def bits_per_s(self) -> float:
        """Bit rate."""
        return self.groups * (self.entries - 1).bit_length() * self.rate_hz / self.hop

    def frames_of(self, samples: int) -> int:
        """Frames N of S samples at 16 kHz: as many more than hops as our codec has."""
        return -(-samples * self.rate_hz // (RATE_HZ * self.hop)) + CODEC_DELAY

    def encode(self, wave: Tensor) -> Tensor:
        """Tokens (B, N, K) of (B, S) at 16 kHz."""
        own = _at_rate(wave, RATE_HZ, self.rate_hz)
        own = nn.functional.pad(own, (0, self.frames_of(wave.shape[1]) * self.hop - own.shape[1]))
        if self.kind == "dac":
            return self.model.encode(own.unsqueeze(1)).audio_codes.transpose(1, 2)
        return self.model.encode(own.unsqueeze(1), bandwidth=self.bandwidth).audio_codes[0].transpose(1, 2)

    def decode(self, tokens: Tensor) -> Tensor:
        """The sound (B, S) at 16 kHz of tokens (B, N, K): N - 3 hops."""
        own = self._decode(tokens)[:, : (tokens.shape[1] - CODEC_DELAY) * self.hop]
        return _at_rate(own, self.rate_hz, RATE_HZ)

    def _decode(self, tokens: Tensor) -> Tensor:
        codes = tokens.transpose(1, 2)  # (B, K, N)
        if self.kind == "dac":
            wave: Tensor = self.model.decode(audio_codes=codes).audio_values
        else:
            wave = self.model.decode(codes[None], [None]).audio_values[:, 0]
        short = tokens.shape[1] * self.hop - wave.shape[1]
        return nn.functional.pad(wave, (0, max(0, short)))[:, : tokens.shape[1] * self.hop]

    def start_decoding(self, batch: int = 1) -> None:
        """Nothing is remembered between pieces."""

    def decode_piece(self, tokens: Tensor, state: None) -> Tensor:
        """The sound (B, S) of the next tokens (B, N, K): N hops."""
        return _at_rate(self._decode(tokens), self.rate_hz, RATE_HZ)


def load_codec(name: str) -> TransformersCodec:
    """Load a public codec.

    Args:
        name: of a model on a hub, such as "descript/dac_16khz", or a folder.

    Returns:
        The codec, ready to encode and decode.

    Raises:
        HSMError: no such model, or one of another kind.
    """
    from transformers import AutoConfig, DacModel, EncodecModel

    try:
        kind = AutoConfig.from_pretrained(name).model_type
        if kind not in KINDS:
            raise HSMError(f"codec: {name!r} is of kind {kind!r}; wanted one of {', '.join(KINDS)}.")
        model: nn.Module = (DacModel if kind == "dac" else EncodecModel).from_pretrained(name)
    except (OSError, ValueError) as error:
        if isinstance(error, HSMError):
            raise
        raise HSMError(
            f"codec: {name!r} cannot be loaded ({str(error).splitlines()[0]}); give a folder with config.json and "
            "weights, or a name while the hub can be reached."
        ) from error
    return TransformersCodec(model.requires_grad_(False).train(False))

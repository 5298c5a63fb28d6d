"""Records that travel between the stages: nothing here computes, everything here can be shared."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from hsm.errors import HSMError
from hsm.events import Event, find_events
from hsm.features import RATE_HZ
from hsm.resampling import resample

Operation = Literal["extract", "remove"]
Renderer = Literal["mask", "codec", "audiosep"]
Depth = Literal["same", "PCM_16", "PCM_24", "PCM_32", "FLOAT"]
OPERATIONS: tuple[Operation, ...] = ("extract", "remove")
RENDERERS: tuple[Renderer, ...] = ("mask", "codec", "audiosep")

LOWEST_RATE_HZ = 4_000
HIGHEST_RATE_HZ = 768_000
MOST_CHANNELS = 64
COMMON = 0.5  # correlation of two channels from which on their mean is heard
FAINTER = 0.01  # power of a channel beside the other's from which on it counts


def check_form(channels: int, rate_hz: int) -> None:
    """Raise `HSMError` for more than 64 channels, or a rate outside 4,000 to 768,000 Hz."""
    if channels > MOST_CHANNELS:
        raise HSMError(
            f"audio: got {channels} channels; at most {MOST_CHANNELS} are taken. "
            "If the array is (samples, channels), pass its transpose."
        )
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise HSMError(f"audio: got a rate of {rate_hz} Hz; wanted {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ} Hz.")


def heard_apart(products: np.ndarray) -> bool:
    """Whether two channels with little in common, of which the products (C, C) were summed, are to be heard apart.

    Of an inverted channel, or of microphones apart from each other, the mean cancels much.
    """
    if len(products) != 2:
        return False
    left, right = float(products[0, 0]), float(products[1, 1])
    return min(left, right) > FAINTER * max(left, right) and float(products[0, 1]) < COMMON * (left * right) ** 0.5


def not_finite(bad: int, size: int) -> str:
    """What is said of a sound in which `bad` of `size` samples are not finite."""
    return (
        f"audio: {bad} of {size} samples are not finite numbers (NaN or infinity); "
        "export the file again or replace them with zeros."
    )


@dataclass(frozen=True, eq=False)
class Audio:
    """Samples with the rate they were taken at.

    Args:
        samples: float32, (channels, S); a (S,) array is read as one channel. Full scale is [-1, 1],
            louder is allowed.
        rate_hz: samples a second, 4,000 to 768,000.
        warning: what to know of the file that it was read from, such as that it was cut off.

    Raises:
        HSMError: an empty array, more than 64 channels, a number that is not finite, or a rate out
            of range.
    """

    samples: np.ndarray
    rate_hz: int
    warning: str = ""

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples, dtype=np.float32)
        if samples.ndim == 1:
            samples = samples[None]  # (1, S)
        if samples.ndim != 2:
            raise HSMError(f"audio: got an array of shape {samples.shape}; wanted (channels, samples) or (samples,).")
        if samples.shape[1] == 0 or samples.shape[0] == 0:
            raise HSMError("audio: got no samples at all; choose a file or a recording that has sound in it.")
        check_form(samples.shape[0], self.rate_hz)
        if not np.isfinite(samples).all():
            raise HSMError(not_finite(int((~np.isfinite(samples)).sum()), samples.size))
        object.__setattr__(self, "samples", samples)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def length_samples(self) -> int:
        """Samples a channel."""
        return int(self.samples.shape[1])

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.length_samples / self.rate_hz

    @cached_property
    def mono_16k(self) -> Tensor:
        """Mean of the channels at the models' rate: (S',) float32, S' = ceil(S * 16,000 / rate); computed once."""
        return self._at_16k(torch.from_numpy(self.samples).mean(0))

    @cached_property
    def heard_16k(self) -> tuple[Tensor, ...]:
        """What the models hear, (S',) each: `mono_16k`, or both channels where their mean would lose much of them."""
        if not heard_apart(self.samples @ self.samples.T):
            return (self.mono_16k,)
        return tuple(self._at_16k(torch.from_numpy(channel)) for channel in self.samples)

    def _at_16k(self, wave: Tensor) -> Tensor:
        return torch.cat(list(resample([wave], self.rate_hz, RATE_HZ)))

    @staticmethod
    def load(path: str | Path) -> Audio:
        """Read a sound file; see `hsm.audio.load_audio`."""
        from hsm.audio import load_audio

        return load_audio(path)

    def save(self, path: str | Path) -> Path:
        """Write a sound file; see `hsm.audio.save_audio`."""
        from hsm.audio import save_audio

        return save_audio(self, path)


@dataclass(frozen=True)
class Instruction:
    """What the user asked for. Paper: Sec. III-F.

    Args:
        operation: "extract" keeps the described sound, "remove" keeps everything else.
        description: the sound in the user's words, such as "dog barking".
        text: the instruction as typed.
        parser: name of the parser that decided.
        confidence: 0 to 1, the parser's own estimate that both parts are right.
        descriptions: the single sounds when several were named, else the description alone.
        note: one line for the user where something was special, such as text that is not English.
    """

    operation: Operation
    description: str
    text: str = ""
    parser: str = "given"
    confidence: float = 1.0
    descriptions: tuple[str, ...] = ()
    note: str = ""

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise HSMError(f"operation: got {self.operation!r}; wanted one of {', '.join(OPERATIONS)}.")
        if not self.description.strip():
            raise HSMError('description: got nothing; name a sound, for example "dog barking".')
        if not self.descriptions:
            object.__setattr__(self, "descriptions", (self.description,))


@dataclass(frozen=True)
class SeparationOptions:
    """Choices of one call.

    Args:
        renderer: what turns the local-semantic feature into sound (H3): "mask" filters the mixture, "codec"
            draws the target anew, as the paper does; "audiosep" is the paper's baseline, which filters the mixture
            by the text alone.
        seed: for "codec", which draws at random; the same seed gives the same sound.
        operation: overrides what the parser understood.
        description: overrides what the parser understood.
        hierarchy: whether Ĝ and Ŝ guide the renderer; without it text alone does, which is the paper's
            single-stage variant. "codec" always has them, "audiosep" never.
        suppress_competitor: whether the strongest other sound is asked for too and held against the target.
        temperature: for "codec": 1 draws tokens as often as they are likely, less prefers the likelier,
            0 takes their mean, which is nearer to the target and smoother.
        top_k: for "codec": only so many of the likeliest tokens can be drawn.
        negative: other sounds that are there, in words, such as "rain"; held against the named one.
        span_s: (begin, end) in seconds where the named sound is heard.
        example: a sound to be found, in the place of words: another recording, or a stretch of this one.
        sensitivity: added to the log-odds of the target's mask, -10 to 10; > 0 keeps more.
    """

    renderer: Renderer = "mask"
    seed: int = 0
    operation: Operation | None = None
    description: str | None = None
    hierarchy: bool = True
    suppress_competitor: bool = True
    temperature: float = 0.0
    top_k: int = 50
    negative: str = ""
    span_s: tuple[float, float] | None = None
    example: Audio | None = None
    sensitivity: float = 0.0

    def __post_init__(self) -> None:
        if not -10 <= self.sensitivity <= 10:
            raise HSMError(f"sensitivity: got {self.sensitivity}; wanted -10 to 10.")
        if self.span_s is not None and not 0 <= self.span_s[0] < self.span_s[1]:
            raise HSMError(f"span_s: got {self.span_s}; wanted (begin, end) in seconds, 0 <= begin < end.")
        if not 0 <= self.temperature <= 10:
            raise HSMError(f"temperature: got {self.temperature}; wanted 0 to 10.")
        if self.top_k < 1:
            raise HSMError(f"top_k: got {self.top_k}; wanted at least 1.")
        if self.renderer not in RENDERERS:
            raise HSMError(f"renderer: got {self.renderer!r}; wanted one of {', '.join(RENDERERS)}.")
        if self.operation is not None and self.operation not in OPERATIONS:
            raise HSMError(f"operation: got {self.operation!r}; wanted one of {', '.join(OPERATIONS)}.")


@dataclass(frozen=True, eq=False)
class Separation:
    """Everything one call computed, so that views and metrics never run a model again.

    Args:
        mixture: the input.
        target: what was asked for; rate, channels and length of the input.
        residual: mixture minus target; with the codec renderer the answer to the opposite operation, drawn
            in a run of its own, so that the two do not add up to the mixture.
        instruction: as understood.
        options: as given.
        attention: (P,) non-negative, sums to 1; last H2 layer, global token to patches, mean over
            heads, temporal order (patch = column * 8 + band, 8 bands from low to high, one column
            each 0.16 s). P is 512 for up to 10.24 s, more for longer input.
        attention_layers: (layers, heads, P), the same for each layer of H2 and each head.
        global_mixture: (D,) G of the mixture.
        global_target: (D,) predicted G of the target.
        text_embedding: (D,) the description in the same space.
        mask: (T, F) in [0, 1], the target's share of each bin of the 16 kHz STFT by the mask decoder, whatever
            the renderer, as attention and features are the hierarchy's; mean over channels that were heard apart.
        present: 0 to 1, calibrated: whether the named sound is in the recording at all.
        competing_sounds: names of the sounds that were suppressed, from the first window on, each once.
        timings_s: seconds spent in each stage.
    """

    mixture: Audio
    target: Audio
    residual: Audio
    instruction: Instruction
    options: SeparationOptions
    attention: np.ndarray
    attention_layers: np.ndarray
    global_mixture: np.ndarray
    global_target: np.ndarray
    text_embedding: np.ndarray
    mask: np.ndarray
    present: float
    competing_sounds: tuple[str, ...] = ()
    timings_s: dict[str, float] = field(default_factory=dict)

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """When the named sound is active; see `hsm.events.find_events`."""
        return find_events(self)

    @property
    def attention_heads(self) -> np.ndarray:
        """(heads, P), each head of the last layer."""
        return np.asarray(self.attention_layers[-1])

"""Sound and words in, target and residual out: in memory or from file to file, by one generator of windows.

    mixture ──16 kHz──> windows ──encode──> features ──┐
    words ──────────────encode_query──> query ─────────┴─separate_windows──> mask frames ──filter──> target

`separate` collects what the generator yields, `separate_file` writes it; stems and live listening are made of
the first.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple, Protocol, get_args

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from hsm.audio.reading import Extent, Recording, open_sound, scan
from hsm.audio.writing import FORMATS, LOUDER, sound_writers
from hsm.codecs import TransformersCodec, load_codec
from hsm.config import TINY, Config, config_from_dict
from hsm.errors import HSMError
from hsm.features import (
    CODEC_FRAMES_PER_COLUMN,
    COLUMN_SAMPLES,
    FRAMES_PER_COLUMN,
    PATCH_BANDS,
    PATCH_COLUMNS,
    RATE_HZ,
    SILENCE_PEAK,
    STFT_BINS,
    working_gain,
)
from hsm.instruction import OfflineParser, Parser, understand
from hsm.instruction.known import known_as
from hsm.instruction.language_model import LanguageModelParser, with_language_model
from hsm.instruction.neural import NeuralParser
from hsm.instruction.targets import split_targets
from hsm.model import NETWORKS, WORDS, Guide, Model, Query, WindowFeatures, build_modules
from hsm.native_rate import filtered
from hsm.precision import chosen_device, chosen_precision, widen_at_use
from hsm.progress import Progress, Stopwatch
from hsm.records import Audio, Depth, Instruction, Renderer, Separation, SeparationOptions
from hsm.resampling import resample
from hsm.text import load_text_encoder
from hsm.weights import BUNDLED, FeatureBank, WeightFolder, without_weights
from hsm.windows import OVERLAP_COLUMNS, CrossFade, Window, batched, columns_of, windows

WINDOWS_AT_ONCE = {"cpu": 2, "cuda": 16}  # on a CPU four of them gain no more than two, and take more memory
SELDOM_USED = ("audiomae", "q_audio", "global_separator", "local_separator")  # networks that a window asks but once
EXAMPLE = "the sound of the example"  # what is asked for where no words are given
NOISE = ("noise", "background noise", "noises", "background noises", "ambient noise", "noise in the background")
LOUDEST = 1e12  # as integers of 32 bits read as numbers are; the square of much more is infinite
DEPTHS: tuple[Depth, ...] = get_args(Depth)

if hasattr(os, "register_at_fork"):  # a child has none of OpenMP's threads, and would wait for them for ever
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


class EncodedWindows(NamedTuple):
    """Windows that were encoded together."""

    windows: list[Window]
    gains: Tensor  # (B, 1) by which each was brought to the working level
    powers: Tensor  # (B,) before that
    features: WindowFeatures


@dataclass(frozen=True, eq=False)
class EncodedMixture:
    """A mixture with its features, to be separated several times."""

    mixture: Audio
    heard: tuple[tuple[EncodedWindows, ...], ...]  # of what is heard of it, see `Audio.heard_16k`
    columns: int  # its length in patch columns of 0.16 s
    timings_s: dict[str, float]

    @property
    def global_feature(self) -> np.ndarray:
        """G of the whole sound (D,): mean over the windows."""
        return torch.cat([batch.features.global_ for view in self.heard for batch in view]).mean(0).cpu().numpy()


@dataclass(frozen=True, eq=False)
class WindowOutput:
    """What a window decides for good: the frames and columns up to the next one, cross-faded with the one before."""

    window: Window
    mask: Tensor  # (T, 513) in [0, 1], or (T, C, 513) of channels that were heard each by itself
    attention: Tensor  # (columns, layers * heads * 8)
    global_target: Tensor  # Ĝ (1, D), smoothed
    local: Tensor  # Ŝ (columns, 8 * D)
    level: Tensor  # (columns, 1) what the working level has to be multiplied by
    ends: bool  # whether the sound ends with it
    power: Tensor  # () of the window
    present: Tensor  # () log-odds that the named sound is in it
    competitor: str = ""  # name of the sound that was suppressed

    @staticmethod
    def of_channels(outputs: Sequence[WindowOutput]) -> WindowOutput:
        """Channels that were heard each by itself: each its own mask, else the mean by power in this window."""
        weights = torch.stack([one.power for one in outputs]).clamp_min(1e-20)
        weights = weights / weights.sum()

        def mean(*parts: Tensor) -> Tensor:
            return torch.stack([weight * part for weight, part in zip(weights, parts, strict=True)]).sum(0)

        return replace(
            outputs[int(weights.argmax())],
            mask=torch.stack([one.mask for one in outputs], 1),
            attention=mean(*(one.attention for one in outputs)),
            global_target=mean(*(one.global_target for one in outputs)),
            local=mean(*(one.local for one in outputs)),
            level=mean(*(one.level for one in outputs)),
        )


class WindowMask(NamedTuple):
    """A baseline's answer for a window: the frames up to the next one, in [0, 1], or complex to turn phases too."""

    window: Window
    mask: Tensor  # (T, 513)


class Baseline(Protocol):
    """Another separator, which filters the mixture in the place of the mask decoder."""

    def build(self, config: Config) -> nn.Module:
        """Its network with random weights."""

    def masks(
        self, model: HSM, pieces: Iterable[tuple[Window, Tensor]], columns: int, query: Query, watch: Stopwatch
    ) -> Iterator[WindowMask]:
        """Its masks of windows (S,) at 16 kHz, in order."""


BASELINES: dict[str, Baseline] = {}  # by renderer; each registers itself where it is defined


def build_baselines(config: Config) -> dict[str, nn.Module]:
    """The baselines' networks by renderer, with random weights."""
    return {name: baseline.build(config) for name, baseline in BASELINES.items()}


def own_networks(renderer: str) -> tuple[str, ...]:
    """What a renderer alone needs: loaded when first used, and a weight folder may lack it."""
    return {"mask": (), "codec": ("codec", "decoder")}.get(renderer, (renderer,))


class Writer(Protocol):
    """Takes sound block by block."""

    def write(self, samples: np.ndarray) -> np.ndarray:
        """Append (channels, n); what a reader will get of it."""


class Collector:
    """A `Writer` that keeps all of it."""

    def __init__(self) -> None:
        self.blocks: list[np.ndarray] = []

    def write(self, samples: np.ndarray) -> np.ndarray:
        """See `Writer`."""
        self.blocks.append(samples)
        return samples


@dataclass(frozen=True, eq=False)
class Source:
    """A mixture that can be read from its start as often as wanted, in memory or on disk."""

    rate_hz: int
    channels: int
    length_samples: int
    blocks: Callable[[], Iterable[np.ndarray]]  # (channels, n) in order
    heard: tuple[Callable[[], Iterable[Tensor]], ...]  # (n,) in order, at 16 kHz; see `Audio.heard_16k`

    @staticmethod
    def of(audio: Audio) -> Source:
        """A sound in memory."""
        heard = tuple(lambda wave=wave: [wave] for wave in audio.heard_16k)
        return Source(audio.rate_hz, audio.channels, audio.length_samples, lambda: [audio.samples], heard)

    @staticmethod
    def of_file(recording: Recording, extent: Extent) -> Source:
        """A sound on disk."""

        def heard(channel: int | None) -> Iterator[Tensor]:
            blocks = (torch.from_numpy(block) for block in recording.blocks())
            waves = (block.mean(0) if channel is None else block[channel] for block in blocks)
            return resample(waves, recording.rate_hz, RATE_HZ)

        channels = range(recording.channels) if extent.apart else (None,)
        views = tuple(partial(heard, channel) for channel in channels)
        return Source(recording.rate_hz, recording.channels, extent.length_samples, recording.blocks, views)

    @property
    def columns(self) -> int:
        """Length in patch columns."""
        return columns_of(self.length_samples, self.rate_hz)

    def excerpt(self, begin_s: float, end_s: float) -> Audio:
        """A stretch of what is heard of it, 16 kHz mono; `HSMError` where the sound ends before."""
        begin, end, passed = round(begin_s * RATE_HZ), round(end_s * RATE_HZ), 0
        found = []
        for piece in self.heard[0]():
            found.append(piece[max(0, begin - passed) : max(0, end - passed)])
            passed += len(piece)
        if end > passed + RATE_HZ // 10 or not sum(map(len, found)):
            raise HSMError(f"span_s: got ({begin_s:g}, {end_s:g}); wanted a span within {passed / RATE_HZ:.2f} s.")
        return Audio(torch.cat(found).numpy(), RATE_HZ)

    def windows(self) -> list[Iterator[tuple[Window, Tensor]]]:
        """Of all that is heard of it, the windows with their samples (S,) at 16 kHz."""
        return [windows(pieces(), self.columns) for pieces in self.heard]


@dataclass(frozen=True)
class FileProgress:
    """How far a file is: seconds of sound whose mask is decided, of how many, after how much work."""

    done_s: float
    duration_s: float
    elapsed_s: float

    @property
    def left_s(self) -> float:
        """Seconds of work that are left, at the speed so far."""
        return self.elapsed_s * (self.duration_s / self.done_s - 1)


@dataclass(frozen=True)
class FileSeparation:
    """What became of a file."""

    target: Path
    residual: Path  # mixture minus target, but for the codec renderer
    instruction: Instruction  # as understood
    rate_hz: int  # this and the next two as in the input
    channels: int
    length_samples: int
    depth: str  # of both files: "PCM_16", "PCM_24", "PCM_32" or "FLOAT"
    timings_s: dict[str, float]
    warning: str = ""  # what to know of a damaged input, or of the outputs' depth


def depth_for(recording: Recording, depth: Depth, ending: str) -> str:
    """The depth of an output with an ending: the input's for "same", 24 bits where a .flac could not hold it."""
    if depth not in DEPTHS:
        raise HSMError(f"depth: got {depth!r}; wanted one of {', '.join(DEPTHS)}.")
    if depth != "same":
        return depth
    return recording.depth if recording.depth in FORMATS.get(ending, (recording.depth,)) else "PCM_24"


def check_peak(peak: float, duration_s: float, name: str = "mixture") -> None:
    """Raise `HSMError` that names the sound where its largest sample is too small or too large to be worked on."""
    if peak > LOUDEST:
        raise HSMError(f"{name}: its largest sample is {peak:.3g}; wanted full scale at 1, at most {LOUDEST:.0e}.")
    if peak < SILENCE_PEAK:
        raise HSMError(
            f"{name}: all {duration_s:.2f} s are silent (below {20 * np.log10(SILENCE_PEAK):.0f} dBFS); "
            "choose a recording in which something sounds."
        )


def at_native_rate(pieces: Iterable[Tensor], rate_hz: int, length_samples: int) -> Iterator[Tensor]:
    """A stream of 16 kHz sound (S,) at another rate, cut to a length."""
    left = length_samples
    for piece in resample(pieces, RATE_HZ, rate_hz):
        if left > 0:
            yield piece[:left]
        left -= len(piece)


def _fitting(codec: TransformersCodec, config: Config) -> TransformersCodec:
    """A public codec on the grid that the decoder of a configuration writes; `HSMError` for another."""
    found = (codec.groups, codec.entries, codec.rate_hz / codec.hop)
    wanted = (config.codec.groups, config.codec.entries, RATE_HZ * CODEC_FRAMES_PER_COLUMN / COLUMN_SAMPLES)
    if found != wanted:
        raise HSMError(
            "codec: got {} codebooks of {} entries at {:g} frames a second; the decoder writes ".format(*found)
            + "{} of {} at {:g}.".format(*wanted)
        )
    return codec


class HSM:
    """Hierarchical text-queried separation.

    Args:
        model: the networks.
        parser: reads instructions.
        bank: global features of training clips.
        weights_info: name, file, checksum and training of each weight file.
        missing: networks that one renderer alone needs and that were never trained.
    """

    def __init__(
        self,
        model: Model,
        parser: Parser,
        bank: FeatureBank,
        weights_info: dict[str, Any],
        missing: tuple[str, ...] = (),
    ) -> None:
        self.model, self.parser, self.bank = model, parser, bank
        self.weights_info, self.missing = weights_info, missing
        self.windows_at_once = WINDOWS_AT_ONCE.get(model.device.type, 1)

    @property
    def computing(self) -> str:
        """Where and how it computes, such as "cuda in bfloat16"."""
        return f"{self.model.device} in {self.model.precision}"

    @property
    def config(self) -> Config:
        """Sizes of the networks."""
        return self.model.config

    @staticmethod
    def load(
        weights: str | Path | None = None,
        device: str = "auto",
        language_model: str = "",
        language_model_url: str = "",
        codec: str = "",
        precision: str = "",
        compiler: str = "",
    ) -> HSM:
        """Load weights.

        Args:
            weights: a weight folder; the bundled one where not given.
            device: "auto" for the fastest there is, or as torch names it, such as "cpu" or "cuda".
            language_model: reads the instructions, see `hsm.instruction.language_model`; the offline
                parser where not given.
            language_model_url: of the endpoint that serves it; loaded by name or path where not given.
            codec: a public codec instead of ours, see `hsm.codecs`; the decoder must have been trained on
                its tokens.
            precision: "float32" or "bfloat16"; the faster one of the device where not given.
            compiler: backend of `torch.compile`, such as "inductor", which takes minutes before the first answer;
                none where not given.

        Returns:
            The model, ready to separate.

        Raises:
            HSMError: a missing, damaged or unfitting weight file, or a device or precision that is not there.
        """
        chosen = chosen_device(device)
        computing = chosen_precision(precision, chosen)
        narrow = SELDOM_USED if chosen.type == "cpu" and computing == "float32" else ()
        folder = WeightFolder.open(weights if weights is not None else BUNDLED)
        config = config_from_dict(folder.manifest["config"])
        later = ("codec", "decoder", *BASELINES)
        missing = tuple(name for name in later if name not in folder and not (codec and name == "codec"))

        def fetch(name: str) -> nn.Module:
            if name == "codec" and codec:
                return _fitting(load_codec(codec), config)
            with nullcontext() if name in later else without_weights():
                module = BASELINES[name].build(config) if name in BASELINES else build_modules(config, (name,))[name]
            if name == "decoder" and codec:
                module.lattice = None  # type: ignore[assignment]
            if name not in missing:
                folder.load_into(name, module, half=name in narrow)
            if name in narrow:
                widen_at_use(module)
            return module

        modules = {name: fetch(name) for name in NETWORKS if name not in later}
        if names := folder.metadata("tagger").get("names"):
            modules["tagger"].names = tuple(json.loads(names))  # type: ignore[assignment]
        if codec:
            modules["codec"] = fetch("codec")  # what does not fit is told at once
        text = load_text_encoder(config.text, folder.manifest.get("text_encoder", {}).get("sha256", ""))
        parser: Parser = OfflineParser(NeuralParser(modules["instruction"], text))  # type: ignore[arg-type]
        if language_model:
            parser = with_language_model(parser, language_model, language_model_url, str(chosen))
        model = Model(config, modules, text, chosen, computing, compiler, fetch)
        return HSM(model, parser, FeatureBank.load(folder), folder.manifest["files"], missing)

    @staticmethod
    def untrained(config: Config, seed: int = 0) -> HSM:
        """A system with random weights in float32 on the CPU: nothing learnt, the same work."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            modules = build_modules(config) | build_baselines(config)
            features = torch.randn(60, config.q_audio.width).numpy()
            tagger: Any = modules["tagger"]
            tagger.vocabulary.copy_(nn.functional.normalize(torch.randn(tagger.vocabulary.shape), dim=1))
        classes = tuple(("dog", "rain", "speech")[i % 3] for i in range(60))
        bank = FeatureBank(features, classes, tuple(f"{c} {i}" for i, c in enumerate(classes)))
        model = Model(config, modules, load_text_encoder(config.text), torch.device("cpu"))
        return HSM(model, OfflineParser(), bank, {})

    @staticmethod
    def tiny(seed: int = 0) -> HSM:
        """A random tiny model for tests: the same code path, nothing learnt."""
        return HSM.untrained(TINY, seed)

    def parse(self, text: str, options: SeparationOptions | None = None) -> Instruction:
        """Understand an instruction, with corrections; `HSMError` where it names no sound. Paper: Sec. III-F."""
        return self._understand(text, options or SeparationOptions(), self.parser)[0]

    def preview(self, text: str, options: SeparationOptions | None = None) -> Instruction:
        """What would run, read offline in milliseconds; for an instruction that is still being typed."""
        parser: Any = self.parser.offline if isinstance(self.parser, LanguageModelParser) else self.parser
        return self._understand(text, options or SeparationOptions(), parser)[0]

    def _understand(
        self, wish: str | Instruction, options: SeparationOptions, parser: Parser
    ) -> tuple[Instruction, tuple[str, ...]]:
        """What will run, and the wordings of its description that the networks know."""
        if options.example is not None and not str(getattr(wish, "text", wish)).strip():
            wish = Instruction(options.operation or "extract", options.description or EXAMPLE)
        found = understand(wish, options, parser)
        wordings, note = known_as(found.description, self.model.text.words.__contains__)
        if note and note not in found.note:
            found = replace(found, note=f"{found.note} {note}".strip())
        return found, wordings

    def encode(self, audio: Audio, progress: Progress | None = None) -> EncodedMixture:
        """Compute what does not depend on the instruction.

        Args:
            audio: any rate, channels and length.
            progress: called with a stage's name and the share of its work that is done.

        Returns:
            The features; `separate` takes them in the place of the mixture.

        Raises:
            HSMError: silence.
        """
        check_peak(float(np.abs(audio.samples).max()), audio.duration_s)
        watch, source = Stopwatch(progress), Source.of(audio)
        together = zip(*self.encode_windows(source, watch), strict=True)
        heard = tuple(zip(*together, strict=True))
        return EncodedMixture(audio, heard, source.columns, watch.timings_s)

    def encode_windows(self, source: Source, watch: Stopwatch) -> list[Iterator[EncodedWindows]]:
        """Of all that is heard of a mixture, encode the windows a few at a time, when they are asked for."""

        def encoded(pieces: Iterator[tuple[Window, Tensor]]) -> Iterator[EncodedWindows]:
            for group in batched(pieces, self.windows_at_once):
                samples = torch.stack([samples for _, samples in group])  # (B, S)
                gains, powers = working_gain(samples), samples.square().mean(1)  # (B, 1), (B,)
                stage = partial(watch.stage, fraction=group[0][0].first / source.columns)
                features = self.model.encode(samples * gains, stage)
                yield EncodedWindows([window for window, _ in group], gains, powers, features)

        return [encoded(pieces) for pieces in source.windows()]

    def encode_query(self, instruction: str | Instruction, options: SeparationOptions) -> tuple[Instruction, Query]:
        """An instruction as understood and as the networks take it; `HSMError` where it names no sound."""
        understood, wordings = self._understand(instruction, options, self.parser)
        sounds = understood.descriptions if len(understood.descriptions) > 1 else ()
        negative = split_targets(options.negative) if options.negative.strip() else ()
        noise = understood.description.lower().removeprefix("the ") in NOISE
        return understood, self.model.encode_query(understood.operation, wordings, sounds, negative, noise)

    def _guide(self, source: Source, options: SeparationOptions) -> Guide:
        """What the options tell of the named sound besides words."""

        def heard(audio: Audio) -> Tensor:
            return torch.from_numpy(self.global_feature(audio))[None].to(self.model.device)

        guide = WORDS
        if options.example is not None:
            guide = Guide(global_target=heard(options.example), wordless=True)
        if options.span_s is not None:
            guide = guide._replace(global_mixture=heard(source.excerpt(*options.span_s)))
        return guide

    def separate_windows(
        self,
        encoded: Iterable[EncodedWindows],
        columns: int,
        query: Query,
        options: SeparationOptions,
        watch: Stopwatch,
        guide: Guide = WORDS,
        local_target: Iterable[Tensor] | None = None,
    ) -> Iterator[WindowOutput]:
        """Separate window by window, each when it is asked for. Paper: Sec. III-C, III-D.

        Args:
            encoded: the windows in order.
            columns: length of the whole sound in patch columns.
            query: what is asked.
            options: whether Ĝ and Ŝ guide the mask decoder, whether a competitor is suppressed, the sensitivity.
            watch: told of every stage.
            guide: what is known of the named sound besides words.
            local_target: (1, P, D) of each window to be used for Ŝ; predicted where not given.

        Yields:
            The frames and columns up to the next window; together they are those of the whole sound.
        """
        sizes = self.config.local_separator
        mask = CrossFade(columns * FRAMES_PER_COLUMN + 1, STFT_BINS)
        attention = CrossFade(columns, sizes.layers * sizes.heads * PATCH_BANDS)
        local = CrossFade(columns, PATCH_BANDS * self.config.audiomae.width)
        level = CrossFade(columns, 1)
        previous: Tensor | None = None
        given = None if local_target is None else iter(local_target)
        for batch in encoded:
            stage = partial(watch.stage, fraction=batch.windows[0].first / columns)
            true = None if given is None else torch.cat([next(given) for _ in batch.windows])  # too few: RuntimeError
            found = self.model.forward(
                batch.features,
                query,
                guide._replace(local_target=true),
                previous,
                options.hierarchy,
                options.suppress_competitor,
                options.renderer == "codec",
                stage,
            )
            previous = found.global_target[-1:]
            present = self.model.tagger.present(found.cues).cpu()
            for i, window in enumerate(batch.windows):
                ends = window.first + window.count == columns
                edges = (window.first == 0, ends)
                mask.add(window.first_frame, found.masks[i].cpu(), OVERLAP_COLUMNS * FRAMES_PER_COLUMN, *edges)
                for track, values in (
                    (attention, rearrange(found.attention[i], "l h (c f) -> c (l h f)", f=PATCH_BANDS)),
                    (local, rearrange(found.local_target[i], "(c f) d -> c (f d)", f=PATCH_BANDS)),
                    (level, (1 / batch.gains[i]).expand(window.count, 1)),
                ):
                    track.add(window.first, values.cpu(), OVERLAP_COLUMNS, *edges)
                done = window.next_first(columns)
                joined = mask.result() if ends else mask.take(done * FRAMES_PER_COLUMN)
                joined = (joined.logit(1e-6) + options.sensitivity).sigmoid() if options.sensitivity else joined
                tracks = attention.take(done), found.global_target[i : i + 1, 0], local.take(done), level.take(done)
                yield WindowOutput(window, joined, *tracks, ends, batch.powers[i], present[i], found.competitors[i])

    def _separate_heard(
        self,
        heard: Sequence[Iterable[EncodedWindows]],
        columns: int,
        query: Query,
        options: SeparationOptions,
        watch: Stopwatch,
        guide: Guide = WORDS,
        local_targets: Sequence[Iterable[Tensor]] | None = None,
    ) -> Iterator[WindowOutput]:
        """`separate_windows` of all that is heard of a mixture, as one."""
        streams = [
            self.separate_windows(view, columns, query, options, watch, guide, local)
            for view, local in zip(heard, local_targets or repeat(None), strict=False)
        ]
        return streams[0] if len(streams) == 1 else map(WindowOutput.of_channels, zip(*streams, strict=True))

    def missing_weights(self, renderer: Renderer) -> tuple[str, ...]:
        """Networks that a renderer needs and whose weights are not there, by name; none where it can be used."""
        return tuple(name for name in own_networks(renderer) if name in self.missing)

    def check_renderer(self, options: SeparationOptions) -> None:
        """Raise `HSMError` where the weights of the chosen renderer are not there."""
        if missing := self.missing_weights(options.renderer):
            files = " and ".join(f"{name}.safetensors" for name in missing)
            commands = ", then ".join(f"`hsm train {name}`" for name in missing)
            raise HSMError(
                f"renderer: {options.renderer!r} needs {files}, which the weight folder does not have; "
                f"fetch or train that ({commands}), or choose the renderer 'mask'."
            )

    def generate(
        self, outputs: Iterable[WindowOutput], options: SeparationOptions, watch: Stopwatch
    ) -> Iterator[Tensor]:
        """Draw a sound anew from Ŝ: (S,) at 16 kHz and at the mixture's level, piece after piece.

        Together the whole sound's columns, with the codec's own at most three hops of 20 ms more.
        """
        self.check_renderer(options)
        state = self.model.start_generation(options.seed, options.temperature, options.top_k)
        for output in outputs:
            wave = self.model.generate(output.local, output.ends, state, watch.stage)
            level = nn.functional.interpolate(output.level.t()[None], len(wave), mode="linear")[0, 0]  # (S,)
            yield wave * level

    def resynthesise(self, audio: Audio, options: SeparationOptions) -> Audio:
        """A sound drawn anew from its own S, 16 kHz mono: what the codec renderer makes of a perfect Ŝ."""
        encoded = self.encode(audio)
        local = CrossFade(encoded.columns, PATCH_BANDS * self.config.audiomae.width)
        level = CrossFade(encoded.columns, 1)
        for batch in encoded.heard[0]:
            for i, window in enumerate(batch.windows):
                edges = (window.first == 0, window.first + window.count == encoded.columns)
                by_column = rearrange(batch.features.local[i], "(c f) d -> c (f d)", f=PATCH_BANDS)
                local.add(window.first, by_column.cpu(), OVERLAP_COLUMNS, *edges)
                level.add(window.first, (1 / batch.gains[i]).expand(window.count, 1), OVERLAP_COLUMNS, *edges)
        none = torch.zeros(0)
        first = encoded.heard[0][0].windows[0]
        whole = WindowOutput(first, none, none, none, local.result(), level.result(), True, none, none)
        wave = torch.cat(list(self.generate([whole], options, Stopwatch())))
        return Audio(wave[: len(audio.mono_16k)].numpy(), RATE_HZ)

    def _render(
        self,
        source: Source,
        outputs: Callable[[Query], Iterable[WindowOutput]],
        query: Query,
        options: SeparationOptions,
        watch: Stopwatch,
        target: Writer,
        residual: Writer,
        done: Callable[[Window], None] = lambda window: None,
    ) -> None:
        """Write target and residual, which add up to the mixture; but for the codec, which draws each anew."""

        def told(found: Iterable[Any]) -> Iterator[Any]:
            for one in found:
                done(one.window)
                yield one

        rate_hz, length = source.rate_hz, source.length_samples
        if options.renderer == "codec":
            for writer, asked in ((target, query), (residual, self.model.opposite(query))):
                pieces = self.generate(told(outputs(asked)), options, watch)
                for piece in at_native_rate(pieces, rate_hz, length):
                    writer.write(piece.expand(source.channels, -1).numpy())
            return
        found: Iterable[WindowOutput | WindowMask]
        if options.renderer in BASELINES:
            baseline = BASELINES[options.renderer]
            streams = [baseline.masks(self, pieces, source.columns, query, watch) for pieces in source.windows()]
            found = (
                streams[0]
                if len(streams) == 1
                else (
                    WindowMask(some[0].window, torch.stack([one.mask for one in some], 1))
                    for some in zip(*streams, strict=True)
                )
            )
        else:
            found = outputs(query)
        masks = (one.mask for one in told(found))
        blocks = (torch.from_numpy(block) for block in source.blocks())
        for mixture, kept in filtered(blocks, masks, rate_hz, length, self.model.device):
            residual.write(mixture.numpy() - target.write(kept.numpy()))

    def separate(
        self,
        mixture: Audio | EncodedMixture,
        instruction: str | Instruction,
        options: SeparationOptions | None = None,
        progress: Progress | None = None,
        global_target: np.ndarray | None = None,
        local_target: Audio | None = None,
    ) -> Separation:
        """Separate a mixture as an instruction says.

        Args:
            mixture: the sound, or what `encode` returned for it.
            instruction: free text, or an `Instruction`.
            options: choices of this call.
            progress: called with the name of a stage (`STAGES`) and the share of it that is done; an
                exception it raises stops the work.
            global_target: (D,) to be used for Ĝ, such as that of the true target; predicted where not given.
            local_target: a sound whose S, at its level in the mixture, is to be used for Ŝ, such as the true
                target, as long as the mixture; predicted where not given.

        Returns:
            Target, residual (their sum is the mixture, but for the codec renderer) and every intermediate.

        Raises:
            HSMError: silence, an instruction that names no sound, or a renderer without weights.
        """
        options = options or SeparationOptions()
        self.check_renderer(options)
        watch = Stopwatch(progress)
        with watch.stage("parse"):
            understood, query = self.encode_query(instruction, options)
        encoded = mixture if isinstance(mixture, EncodedMixture) else self.encode(mixture, progress)
        mixture, columns = encoded.mixture, encoded.columns
        source = Source.of(mixture)
        guide = self._guide(source, options)
        if global_target is not None:
            guide = guide._replace(global_target=torch.from_numpy(global_target)[None].to(self.model.device))  # (1, D)
        local = None if local_target is None else self._encode_beside(local_target, encoded)
        separated = partial(self._separate_heard, encoded.heard, columns, options=options, watch=watch, guide=guide)
        outputs = list(separated(query, local_targets=local))

        def outputs_of(asked: Query) -> Iterable[WindowOutput]:
            return outputs if asked is query else separated(asked)

        target, residual = Collector(), Collector()
        with watch.stage("render", 1.0) if options.renderer == "mask" else nullcontext():
            self._render(source, outputs_of, query, options, watch, target, residual)
        mask = torch.cat([output.mask for output in outputs])  # (T, F) or (T, C, F)
        by_column = torch.cat([output.attention for output in outputs])  # (columns, layers * heads * 8)
        heads = self.config.local_separator.heads
        layers = rearrange(by_column, "c (l h f) -> l h (c f)", h=heads, f=PATCH_BANDS)
        layers = nn.functional.pad(layers, (0, max(0, PATCH_COLUMNS - columns) * PATCH_BANDS))
        layers = layers / layers.sum(2, keepdim=True)  # (layers, heads, P)
        return Separation(
            mixture=mixture,
            target=Audio(np.concatenate(target.blocks, 1), mixture.rate_hz),
            residual=Audio(np.concatenate(residual.blocks, 1), mixture.rate_hz),
            instruction=understood,
            options=options,
            attention=layers[-1].mean(0).numpy(),
            attention_layers=layers.numpy(),
            global_mixture=encoded.global_feature,
            global_target=torch.cat([output.global_target for output in outputs]).mean(0).cpu().numpy(),
            text_embedding=query.text.caption[0, 0].cpu().numpy(),
            mask=(mask if mask.ndim == 2 else mask.mean(1)).numpy(),
            present=float(torch.stack([output.present for output in outputs]).max().sigmoid()),
            competing_sounds=tuple(dict.fromkeys(output.competitor for output in outputs if output.competitor)),
            timings_s={**encoded.timings_s, **watch.timings_s},
        )

    def separate_file(
        self,
        path: str | Path,
        instruction: str | Instruction,
        target_path: str | Path,
        residual_path: str | Path,
        options: SeparationOptions | None = None,
        progress: Callable[[FileProgress], None] | None = None,
        depth: Depth = "same",
        track: int = 0,
    ) -> FileSeparation:
        """Separate a file of any length; memory does not grow with it.

        It is read once first, so that its length is known and its faults show before any work is spent on it.

        Args:
            path: the mixture, in any format of `hsm.audio.reading`.
            instruction: free text, or an `Instruction`.
            target_path: where the target goes; the ending, .wav or .flac, decides the format.
            residual_path: where mixture minus target goes; of the codec renderer, see `Separation`.
            options: choices of this call.
            progress: called after every window; an exception it raises stops the work.
            depth: bit depth of the outputs; "same" keeps the input's, see `depth_for`.
            track: which of its sound tracks, see `hsm.audio.reading.open_sound`.

        Returns:
            What was written. Rate, channels and length are the input's to the sample. Until both files are
            whole they have other names; where the work stops, nothing is left of them.

        Raises:
            HSMError: a file that cannot be read or is silent, an instruction that names no sound, or an
                output that cannot be written.
        """
        options = options or SeparationOptions()
        target_path, residual_path = Path(target_path), Path(residual_path)
        recording = open_sound(path, track)
        chosen = depth_for(recording, depth, target_path.suffix.lower())
        extent = scan(recording)
        source = Source.of_file(recording, extent)
        duration_s = source.length_samples / source.rate_hz
        check_peak(extent.peak, duration_s, Path(path).name)
        self.check_renderer(options)
        watch, begin = Stopwatch(), time.perf_counter()
        with watch.stage("parse"):
            understood, query = self.encode_query(instruction, options)
        guide = self._guide(source, options)

        def done(window: Window) -> None:
            if progress is not None:
                done_s = min(window.next_first(source.columns) * COLUMN_SAMPLES / RATE_HZ, duration_s)
                progress(FileProgress(done_s, duration_s, time.perf_counter() - begin))

        def outputs(asked: Query) -> Iterator[WindowOutput]:
            heard = self.encode_windows(source, watch)
            return self._separate_heard(heard, source.columns, asked, options, watch, guide)

        form = (source.rate_hz, source.channels, chosen, source.length_samples)
        with sound_writers((target_path, residual_path), *form, recording) as (target, residual):
            self._render(source, outputs, query, options, watch, target, residual, done)
        louder = LOUDER if target.depth != chosen else ""
        return FileSeparation(
            target=target.path,
            residual=residual.path,
            instruction=understood,
            rate_hz=source.rate_hz,
            channels=source.channels,
            length_samples=source.length_samples,
            depth=target.depth,
            timings_s=watch.timings_s,
            warning="; ".join(one for one in (extent.warning, louder) if one),
        )

    def _encode_beside(self, audio: Audio, encoded: EncodedMixture) -> list[Iterator[Tensor]]:
        """S (1, P, D) of a sound in the windows of a mixture and at its level there; `HSMError` for another length."""
        columns = columns_of(audio.length_samples, audio.rate_hz)
        if columns != encoded.columns:
            raise HSMError(
                f"local_target: got {audio.duration_s:.2f} s; wanted the mixture's {encoded.mixture.duration_s:.2f} s."
            )

        def beside(view: Sequence[EncodedWindows]) -> Iterator[Tensor]:
            gains = torch.cat([batch.gains for batch in view])  # (windows, 1)
            for (_, samples), gain in zip(windows([audio.mono_16k], columns), gains, strict=True):
                yield self.model.encode_local((samples * gain).to(self.model.device)[None])[0]

        return [beside(view) for view in encoded.heard]

    def global_feature(self, audio: Audio) -> np.ndarray:
        """G of any sound: (D,) float32; `HSMError` for silence."""
        return self.encode(audio).global_feature

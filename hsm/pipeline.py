"""The paper's figure as code: the only file that joins the stages. Paper: Fig. 2, Sec. III."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from hsm.audio import to_model_rate
from hsm.bank import FeatureBank
from hsm.codecs import TransformersCodec, load_codec
from hsm.competition import contested
from hsm.config import TINY, Config, config_from_dict
from hsm.errors import HSMError
from hsm.features import (
    CODEC_DELAY,
    CODEC_FRAMES_PER_COLUMN,
    COLUMN_SAMPLES,
    FRAMES_PER_COLUMN,
    PATCH_BANDS,
    PATCH_COLUMNS,
    RATE_HZ,
    SILENCE_PEAK,
    STFT_BINS,
    log_mel,
    stft,
    working_gain,
)
from hsm.instruction import OfflineParser, Parser
from hsm.instruction.language_model import LanguageModelParser, with_language_model
from hsm.instruction.neural import NeuralParser
from hsm.model import NETWORKS, build_modules
from hsm.native_rate import apply_mask
from hsm.networks.audiomae import AudioMAE
from hsm.networks.codec import Codec
from hsm.networks.decoder import AcousticDecoder, Sampling
from hsm.networks.mask_decoder import Guidance, MaskDecoder
from hsm.networks.q_audio import QAudio
from hsm.networks.resunet import AudioSep
from hsm.networks.separators import GlobalSeparator, LocalSeparator, TextCondition
from hsm.networks.sound_encoder import SoundEncoder
from hsm.networks.tagger import Tagger
from hsm.precision import Precision, chosen_precision, to_bfloat16, widen_at_use
from hsm.records import OPERATIONS, Audio, Instruction, Renderer, Separation, SeparationOptions
from hsm.resampling import resample
from hsm.text import TextEncoder, load_text_encoder
from hsm.weights import BUNDLED, WeightFolder, without_weights
from hsm.windows import OVERLAP_COLUMNS, CrossFade, Window, batched, columns_of, windows

STAGES = ("parse", "local features", "global features", "global separation", "local separation", "render")
CARRY = 0.5  # share of the window before in a window's Ĝ, so that the target does not flip on the way
# What a renderer alone needs: loaded when first used, and a weight folder may lack it.
OWN_NETWORKS: dict[Renderer, tuple[str, ...]] = {"mask": (), "codec": ("codec", "decoder"), "audiosep": ("audiosep",)}
LATER = tuple(name for networks in OWN_NETWORKS.values() for name in networks)
WINDOWS_AT_ONCE = {"cpu": 2, "cuda": 16}  # on a CPU four of them gain no more than two, and take more memory
SELDOM_USED = ("audiomae", "q_audio", "global_separator", "local_separator")  # networks that a window asks but once
TELL_FRAMES = 25  # frames drawn between two reports
Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class Heard:
    """One window of a mixture and what does not depend on the instruction.

    Args:
        window: where it stands.
        frames: (1, T, C) the mask renderer's own hearing.
        local: S_mix (1, P, D).
        global_feature: G_mix (1, D).
        gain: (1,) by which the window was brought to the working level.
        energy: (T, F) the window's energy, sums to 1.
        present: (V,) log-odds that the sounds of the vocabulary are there.
    """

    window: Window
    frames: Tensor
    local: Tensor
    global_feature: Tensor
    gain: Tensor
    energy: Tensor
    present: Tensor


@dataclass(frozen=True, eq=False)
class Listened:
    """A mixture with its features, to be asked several times.

    Args:
        mixture: the sound.
        heard: its windows in order.
        columns: its length in patch columns of 0.16 s.
        timings_s: seconds spent in each stage.
    """

    mixture: Audio
    heard: tuple[Heard, ...]
    columns: int
    timings_s: dict[str, float]

    @property
    def global_feature(self) -> np.ndarray:
        """G of the whole sound (D,): mean over the windows."""
        features: np.ndarray = torch.cat([h.global_feature for h in self.heard]).mean(0).cpu().numpy()
        return features


@dataclass(frozen=True, eq=False)
class Question:
    """An instruction as the networks take it.

    Args:
        instruction: as understood.
        condition: T_cap (1, L, D) and T_task (1, W).
        sentence: (1, W) embedding of the whole description.
        named: (N, W) of the description and of each sound in it.
        task: (1,) 0 extract, 1 remove.
    """

    instruction: Instruction
    condition: TextCondition
    sentence: Tensor
    named: Tensor
    task: Tensor


@dataclass(frozen=True, eq=False)
class Answer:
    """What a window decides for good: nothing in it changes with the windows after it.

    Args:
        window: where it stands.
        mask: (T, 513) in [0, 1], the frames up to the next window, cross-faded with the window before.
        attention: (columns, layers * heads * 8), the same for H2's attention.
        global_target: (1, D) Ĝ, with what was carried over.
        local: (columns, 8 * D) Ŝ, cross-faded alike.
        level: (columns, 1) what the working level has to be multiplied by, cross-faded alike.
        ends: whether the sound ends with it.
        other: name of the sound that the counter-question was about; empty where none was asked.
    """

    window: Window
    mask: Tensor
    attention: Tensor
    global_target: Tensor
    local: Tensor
    level: Tensor
    ends: bool
    other: str = ""


@dataclass(frozen=True, eq=False)
class RivalAnswer:
    """What AudioSep's network decides for good about a window.

    Args:
        window: where it stands.
        mask: (T, 513) complex, the target's share of each bin with a turn of its phase; the frames up to the next
            window, cross-faded with the window before.
    """

    window: Window
    mask: Tensor


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


def at_native_rate(pieces: Iterable[Tensor], rate_hz: int, length_samples: int) -> Iterator[Tensor]:
    """A stream of 16 kHz sound (S,) at another rate, cut to a length."""
    left = length_samples
    for piece in resample(pieces, RATE_HZ, rate_hz):
        if left > 0:
            yield piece[:left]
        left -= len(piece)


def _like(pieces: Iterable[Tensor], mixture: Audio) -> Audio:
    """16 kHz sound as a sound of the mixture's rate, channels and length."""
    wave = torch.cat(list(at_native_rate(pieces, mixture.rate_hz, mixture.length_samples)))  # (S,)
    return Audio(wave.expand(mixture.channels, -1).numpy(), mixture.rate_hz)


def refuse_silence(peak: float, duration_s: float, name: str = "mixture") -> None:
    """Raise `HSMError` that names the sound where its largest sample is too small to be heard."""
    if peak < SILENCE_PEAK:
        raise HSMError(
            f"{name}: all {duration_s:.2f} s are silent (below {20 * np.log10(SILENCE_PEAK):.0f} dBFS); "
            "choose a recording in which something sounds."
        )


class Stopwatch:
    """Reports stages as they begin and adds up their seconds.

    Args:
        progress: called with a stage's name and the share of its work that is done.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self.progress = progress
        self.timings_s: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, fraction: float = 0.0) -> Iterator[None]:
        """Time one stage.

        Args:
            name: one of `STAGES`.
            fraction: share of its work that is done.
        """
        if self.progress is not None:
            self.progress(name, fraction)
        begin = time.perf_counter()
        yield
        self.timings_s[name] = self.timings_s.get(name, 0.0) + time.perf_counter() - begin


class HSM:
    """Hierarchical text-queried separation.

    Args:
        config: sizes.
        modules: networks by name, as `hsm.model.build_modules` makes them; those that one renderer alone
            needs may come later.
        text: the frozen text encoder.
        parser: reads instructions.
        bank: global features of training clips.
        device: where the networks compute.
        weights_info: name, file, checksum and training of each weight file.
        missing: networks that one renderer alone needs and that were never trained.
        fetch: loads a network that `modules` lacks, by name, when it is first used.
        precision: of the networks' products; all that leaves them is float32.
        compiler: see `load`.
    """

    def __init__(
        self,
        config: Config,
        modules: dict[str, nn.Module],
        text: TextEncoder,
        parser: Parser,
        bank: FeatureBank,
        device: torch.device,
        weights_info: dict[str, Any],
        missing: tuple[str, ...] = (),
        fetch: Callable[[str], nn.Module] | None = None,
        precision: Precision = "float32",
        compiler: str = "",
    ) -> None:
        for module in modules.values():
            module.to(device).eval().requires_grad_(False)
        if precision == "bfloat16":
            for module in modules.values():
                to_bfloat16(module)
        text.module.to(device)
        self.config, self.modules, self.text, self.parser = config, modules, text, parser
        self.bank, self.device, self.weights_info, self.missing = bank, device, weights_info, missing
        self._fetch, self.precision, self._compiler = fetch, precision, compiler
        self._compiled: dict[Callable[..., Any], Callable[..., Any]] = {}
        self.windows_at_once = WINDOWS_AT_ONCE.get(device.type, 1)
        self.sound_encoder: SoundEncoder = modules["sound_encoder"]  # type: ignore[assignment]
        self.audiomae: AudioMAE = modules["audiomae"]  # type: ignore[assignment]
        self.q_audio: QAudio = modules["q_audio"]  # type: ignore[assignment]
        self.h1: GlobalSeparator = modules["global_separator"]  # type: ignore[assignment]
        self.h2: LocalSeparator = modules["local_separator"]  # type: ignore[assignment]
        self.mask: MaskDecoder = modules["mask"]  # type: ignore[assignment]
        self.presence: Tagger = modules["presence"]  # type: ignore[assignment]

    def _at_first_use(self, name: str) -> nn.Module:
        if name not in self.modules:
            assert self._fetch is not None, f"no {name} and no way to load it"
            self.modules[name] = self._fetch(name).to(self.device).eval().requires_grad_(False)
        return self.modules[name]

    @property
    def codec(self) -> Codec | TransformersCodec:
        """Loaded at first use, since few ask for its renderer; `HSMError` for a file that is damaged."""
        return self._at_first_use("codec")  # type: ignore[return-value]

    @property
    def decoder(self) -> AcousticDecoder:
        """The AR decoder, loaded at first use as `codec`."""
        return self._at_first_use("decoder")  # type: ignore[return-value]

    @property
    def audiosep(self) -> AudioSep:
        """The rival, loaded at first use as `codec`."""
        return self._at_first_use("audiosep")  # type: ignore[return-value]

    @staticmethod
    def load(
        weights: str | Path | None = None,
        device: str = "cpu",
        language_model: str = "",
        language_model_url: str = "",
        codec: str = "",
        precision: str = "",
        compiler: str = "",
    ) -> HSM:
        """Load weights.

        Args:
            weights: a weight folder; the bundled one where not given.
            device: as torch names it, such as "cpu" or "cuda".
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
        try:
            chosen = torch.device(device)
            torch.empty(0, device=chosen)
        except (RuntimeError, AssertionError) as error:
            raise HSMError(f'device: got {device!r}, which is not to be had here ({error}); try "cpu".') from error
        computing = chosen_precision(precision, chosen)
        narrow = SELDOM_USED if chosen.type == "cpu" and computing == "float32" else ()
        folder = WeightFolder.open(weights if weights is not None else BUNDLED)
        config = config_from_dict(folder.manifest["config"])
        missing = tuple(name for name in LATER if name not in folder and not (codec and name == "codec"))

        def fetch(name: str) -> nn.Module:
            if name == "codec" and codec:
                return _fitting(load_codec(codec), config)
            with nullcontext() if name in LATER else without_weights():
                module = build_modules(config, (name,))[name]
            if name == "decoder" and codec:
                module.lattice = None  # type: ignore[assignment]
            if name not in missing:
                folder.load_into(name, module, half=name in narrow)
            if name in narrow:
                widen_at_use(module)
            return module

        modules = {name: fetch(name) for name in NETWORKS if name not in LATER}
        if names := folder.metadata("presence").get("names"):
            modules["presence"].names = tuple(json.loads(names))  # type: ignore[assignment]
        if codec:
            modules["codec"] = fetch("codec")  # what does not fit is told at once
        text = load_text_encoder(config.text)
        parser: Parser = OfflineParser(NeuralParser(modules["instruction"], text))  # type: ignore[arg-type]
        if language_model:
            parser = with_language_model(parser, language_model, language_model_url, device)
        return HSM(
            config,
            modules,
            text,
            parser,
            FeatureBank.load(folder),
            chosen,
            folder.manifest["files"],
            missing,
            fetch,
            computing,
            compiler,
        )

    @staticmethod
    def untrained(config: Config, seed: int = 0) -> HSM:
        """A system with random weights in float32: nothing learnt, the same work.

        Args:
            config: sizes.
            seed: of the weights.

        Returns:
            The system on the CPU.
        """
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            modules = build_modules(config)
            features = torch.randn(60, config.q_audio.width).numpy()
            presence: Any = modules["presence"]
            presence.vocabulary.copy_(nn.functional.normalize(torch.randn(presence.vocabulary.shape), dim=1))
        classes = tuple(("dog", "rain", "speech")[i % 3] for i in range(60))
        names = tuple(f"{c} {i}" for i, c in enumerate(classes))
        bank = FeatureBank(features, classes, names)
        return HSM(config, modules, load_text_encoder(config.text), OfflineParser(), bank, torch.device("cpu"), {})

    @staticmethod
    def tiny(seed: int = 0) -> HSM:
        """A random tiny model for tests: the same code path, nothing learnt."""
        return HSM.untrained(TINY, seed)

    def parse(self, text: str) -> Instruction:
        """Understand an instruction; `HSMError` where it names no sound. Paper: Sec. III-F."""
        return self.parser.parse(text)

    def preview(self, text: str) -> Instruction:
        """How the offline parser reads it, in milliseconds; for an instruction that is still being typed."""
        parser = self.parser.offline if isinstance(self.parser, LanguageModelParser) else self.parser
        found: Instruction = parser.parse(text)
        return found

    @torch.inference_mode()
    def listen(self, audio: Audio, progress: Progress | None = None) -> Listened:
        """Compute what does not depend on the instruction: S_mix and G_mix.

        Args:
            audio: any rate, channels and length.
            progress: called with a stage's name and the share of its work that is done.

        Returns:
            The features; `separate` takes them in the place of the mixture.

        Raises:
            HSMError: silence.
        """
        refuse_silence(float(np.abs(audio.samples).max()), audio.duration_s)
        watch = Stopwatch(progress)
        columns = columns_of(audio.length_samples, audio.rate_hz)
        heard = tuple(self.hear(windows([to_model_rate(audio)], columns), columns, watch))
        return Listened(audio, heard, columns, watch.timings_s)

    @torch.inference_mode()
    def hear(self, pieces: Iterable[tuple[Window, Tensor]], columns: int, watch: Stopwatch) -> Iterator[Heard]:
        """Hear windows one after the other, each when it is asked for.

        Args:
            pieces: windows with their samples (S,) at 16 kHz, as `hsm.windows.windows` makes them.
            columns: length of the whole sound in patch columns.
            watch: told of every stage.

        Yields:
            What does not depend on the instruction, window by window.
        """
        for group in batched(pieces, self.windows_at_once):
            share = group[0][0].first / columns
            with watch.stage("local features", share):
                samples = torch.stack([samples for _, samples in group])  # (B, S)
                gain = working_gain(samples)  # (B, 1)
                waves = (samples * gain).to(self.device)
                local, cells = self._local(waves)  # (B, P, D), (B, cells in time, 12, E)
                magnitude = stft(waves).abs()  # (B, T, F)
                frames = self._run(self.mask.encode, magnitude, cells)  # (B, T, C)
                energy = magnitude.square()
                energy /= energy.sum((1, 2), keepdim=True).clamp_min(1e-12)
                present = self._run(self.presence, frames)  # (B, V)
            with watch.stage("global features", share):
                whole = self._run(self.q_audio.audio, local)  # (B, D)
            for i, (window, _) in enumerate(group):
                one = slice(i, i + 1)
                yield Heard(window, frames[one], local[one], whole[one], gain[i], energy[i], present[i])

    def _local(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        """S (B, P, D) and the sound encoder's cells (B, cells in time, 12, E) of windows (B, S)."""
        cells = self._run(self.sound_encoder, waves)
        return self._run(self.audiomae, log_mel(waves), cells), cells

    def _run(self, network: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """What a network makes of its inputs; float32."""
        with self._computing():
            return self._ready(network)(*inputs).float()

    def _computing(self) -> torch.autocast:
        """In which networks work in the model's precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _ready(self, network: Callable[..., Any]) -> Callable[..., Any]:
        """The network, compiled where asked for, at its first use."""
        if not self._compiler:
            return network
        if network not in self._compiled:
            self._compiled[network] = torch.compile(network, backend=self._compiler)
        return self._compiled[network]

    def _ask(self, heard: Tensor, sentences: Tensor) -> Tensor:
        """Log-odds (K, T, F) of K descriptions (K, W) in what is heard (1, T, C), text alone."""
        task = torch.zeros(len(sentences), dtype=torch.long, device=self.device)
        return self._run(self.mask, heard.expand(len(sentences), -1, -1), sentences, task, None)

    @torch.inference_mode()
    def question(self, instruction: str | Instruction, options: SeparationOptions) -> Question:
        """Understand an instruction and encode it.

        Args:
            instruction: free text, or an `Instruction`.
            options: may override either part of it.

        Returns:
            What the networks are asked.

        Raises:
            HSMError: an instruction that names no sound.
        """
        wish = self._understand(instruction, options)
        features = self.text.encode([wish.description])
        caption = self._run(self.q_audio.text, features)  # (1, L, D)
        named = features.sentence()  # (1, W)
        if len(wish.descriptions) > 1:
            named = torch.cat([named, self.text.encode(list(wish.descriptions)).sentence()])
        condition = TextCondition(caption, features.mask, self.text.task(wish.operation))
        task = torch.tensor([OPERATIONS.index(wish.operation)], device=self.device)
        return Question(wish, condition, features.sentence(), named, task)

    @torch.inference_mode()
    def answer(
        self,
        heard: Iterable[Heard],
        columns: int,
        question: Question,
        options: SeparationOptions,
        watch: Stopwatch,
        global_target: Tensor | None = None,
        local_target: Iterable[Tensor] | None = None,
    ) -> Iterator[Answer]:
        """Answer window by window, each when it is asked for. Paper: Sec. III-C, III-D.

        Args:
            heard: the windows in order.
            columns: length of the whole sound in patch columns.
            question: what is asked.
            options: whether Ĝ and Ŝ guide the renderer, and whether it is asked for another sound too.
            watch: told of every stage.
            global_target: (1, D) to be used for Ĝ; predicted where not given.
            local_target: (1, P, D) of each window to be used for Ŝ; predicted where not given.

        Yields:
            The frames and columns up to the next window; together they are those of the whole sound.
        """
        mask = CrossFade(columns * FRAMES_PER_COLUMN + 1, STFT_BINS)
        sizes = self.config.local_separator
        attention = CrossFade(columns, sizes.layers * sizes.heads * PATCH_BANDS)
        local = CrossFade(columns, PATCH_BANDS * self.config.audiomae.width)
        level = CrossFade(columns, 1)
        carried: Tensor | None = None
        beside = None if local_target is None else iter(local_target)
        for group in batched(heard, self.windows_at_once):
            size = len(group)
            share = group[0].window.first / columns
            condition = question.condition.expand(size)
            guides: list[Tensor] = []  # Ĝ (1, D) of each window
            with watch.stage("global separation", share):
                if global_target is None:
                    for predicted in self._run(self.h1, torch.cat([one.global_feature for one in group]), condition):
                        fresh = predicted[None]  # (1, D)
                        carried = fresh if carried is None else CARRY * carried + (1 - CARRY) * fresh
                        guides.append(carried)
                else:
                    guides = [global_target] * size
                whole = torch.cat(guides)  # (B, D)
            with watch.stage("local separation", share):
                local_mixture = torch.cat([one.local for one in group])  # (B, P, D)
                with self._computing():
                    separated = self._ready(self.h2)(local_mixture, whole, condition, every_layer=True)
                found = separated.local.float()  # Ŝ (B, P, D)
                guide = found if beside is None else torch.cat([next(beside) for _ in group])  # too few: RuntimeError
            with watch.stage("render", share):
                heard_frames = torch.cat([one.frames for one in group])  # (B, T, C)
                sentence, task = question.sentence.expand(size, -1), question.task.expand(size)
                guidance = Guidance(whole, guide) if options.hierarchy else None
                logits = self._run(self.mask, heard_frames, sentence, task, guidance)  # (B, T, F)
                decided = [self._decided(one, logits[i], question, options) for i, one in enumerate(group)]
            for i, one in enumerate(group):
                window = one.window
                ends = window.first + window.count == columns
                edges = (window.first == 0, ends)
                kept, other = decided[i]
                mask.add(window.first_frame, kept, OVERLAP_COLUMNS * FRAMES_PER_COLUMN, *edges)
                by_column = rearrange(separated.layers[i], "l h (c f) -> c (l h f)", f=PATCH_BANDS)
                attention.add(window.first, by_column.cpu(), OVERLAP_COLUMNS, *edges)  # (columns, layers * heads * 8)
                by_column = rearrange(guide[i], "(c f) d -> c (f d)", f=PATCH_BANDS)
                local.add(window.first, by_column.cpu(), OVERLAP_COLUMNS, *edges)  # (columns, 8 * D)
                level.add(window.first, (1 / one.gain).expand(window.count, 1), OVERLAP_COLUMNS, *edges)
                done = window.next_first(columns)
                joined = mask.result() if ends else mask.take(done * FRAMES_PER_COLUMN)
                tracks = attention.take(done), guides[i], local.take(done), level.take(done)
                yield Answer(window, joined, *tracks, ends, other)

    def _decided(
        self, one: Heard, logits: Tensor, question: Question, options: SeparationOptions
    ) -> tuple[Tensor, str]:
        """The target's mask (T, F) in [0, 1] of a window, and the sound that it was held against, "" for none.

        Args:
            one: the window.
            logits: (T, F) of the target as the renderer gave them.
            question: what was asked.
            options: whether another sound is asked for too.
        """
        if not options.competition:
            return logits.sigmoid().cpu(), ""
        side = 1.0 - 2.0 * question.task  # the renderer finds the described sound, whatever the task
        heard = one.frames, one.energy, one.present
        found, other = contested(self._ask, self.presence.vocabulary, *heard, question.named, side * logits[None])
        return (side * found[0]).sigmoid().cpu(), "" if other is None else self.presence.names[other]

    @torch.inference_mode()
    def rival_answer(
        self, pieces: Iterable[tuple[Window, Tensor]], columns: int, question: Question, watch: Stopwatch
    ) -> Iterator[RivalAnswer]:
        """AudioSep's answer window by window: from text and spectrum alone, without H1 and H2.

        Args:
            pieces: windows with their samples (S,) at 16 kHz, as `hsm.windows.windows` makes them.
            columns: length of the whole sound in patch columns.
            question: what is asked; "remove" is what the described sound leaves.
            watch: told of every window.

        Yields:
            The frames up to the next window; together they are those of the whole sound. Their turned phases are
            cross-faded as complex numbers, which is what cross-fading the waves would do.
        """
        network = self.audiosep
        mask = CrossFade(columns * FRAMES_PER_COLUMN + 1, STFT_BINS, torch.complex64)
        for window, samples in pieces:
            ends = window.first + window.count == columns
            with watch.stage("render", window.first / columns):
                piece = (samples * working_gain(samples)).to(self.device)  # (S,)
                gain = network(stft(piece[None]), question.sentence)[0].cpu()  # (T, F)
                kept = gain if question.instruction.operation == "extract" else 1 - gain
                fade = OVERLAP_COLUMNS * FRAMES_PER_COLUMN
                mask.add(window.first_frame, kept, fade, window.first == 0, ends)
            done = window.next_first(columns)
            yield RivalAnswer(window, mask.result() if ends else mask.take(done * FRAMES_PER_COLUMN))

    def opposite(self, question: Question) -> Question:
        """The same description, asked by the other operation."""
        operation = OPERATIONS[1 - OPERATIONS.index(question.instruction.operation)]
        condition = question.condition._replace(task=self.text.task(operation))
        instruction = replace(question.instruction, operation=operation)
        return replace(question, instruction=instruction, condition=condition, task=1 - question.task)

    def lacks(self, renderer: Renderer) -> tuple[str, ...]:
        """Networks that a renderer needs and whose weights are not there, by name; none where it can be used."""
        return tuple(name for name in OWN_NETWORKS[renderer] if name in self.missing)

    def check_renderer(self, options: SeparationOptions) -> None:
        """Raise `HSMError` where the weights of the chosen renderer are not there."""
        if lacking := self.lacks(options.renderer):
            files = " and ".join(f"{name}.safetensors" for name in lacking)
            commands = ", then ".join(f"`python -m hsm.training {name}`" for name in lacking)
            raise HSMError(
                f"renderer: {options.renderer!r} needs {files}, which the weight folder does not have; "
                f"fetch or train that ({commands}), or choose the renderer 'mask'."
            )

    @torch.inference_mode()
    def regenerate(self, answers: Iterable[Answer], options: SeparationOptions, watch: Stopwatch) -> Iterator[Tensor]:
        """Draw a sound anew from Ŝ: tokens frame by frame, then the codec. Paper: Sec. III-E.

        Args:
            answers: in order, with Ŝ.
            options: seed, temperature and top_k; the same seed gives the same sound.
            watch: told of the frames that are drawn.

        Yields:
            (S,) at 16 kHz and at the mixture's level, piece after piece; together the whole sound's columns,
            with the codec's own at most three hops of 20 ms more.
        """
        self.check_renderer(options)
        generator = torch.Generator().manual_seed(options.seed)
        sampling = Sampling(options.temperature, options.top_k)
        state, sound = self.decoder.start(), self.codec.start_decoding()
        for answer in answers:
            local = rearrange(answer.local, "c (f d) -> 1 (c f) d", f=PATCH_BANDS).to(self.device)  # (1, P, D)
            frames = len(answer.local) * CODEC_FRAMES_PER_COLUMN + CODEC_DELAY * answer.ends
            condition = self.decoder.condition(local)[:, :frames]  # (1, N, C)
            tokens: list[Tensor] = []
            for first in range(0, frames, TELL_FRAMES):
                part = condition[:, first : first + TELL_FRAMES]
                with watch.stage("render", first / frames):
                    tokens += self.decoder.generate(part, sampling, generator, state)
            with watch.stage("render", 1.0):
                wave = self.codec.decode_piece(torch.stack(tokens, 1), sound)[0].cpu()  # type: ignore[arg-type]
                level = nn.functional.interpolate(answer.level.t()[None], len(wave), mode="linear")[0, 0]  # (S,)
            yield wave * level

    def resound(self, audio: Audio, options: SeparationOptions, watch: Stopwatch | None = None) -> Audio:
        """Draw a sound anew from its own S: what the codec renderer makes of a perfect Ŝ.

        Args:
            audio: any rate and length; channels are mixed.
            options: as `regenerate`.
            watch: as `regenerate`.

        Returns:
            16 kHz, one channel, the input's length at that rate.
        """
        listened = self.listen(audio)
        local = CrossFade(listened.columns, PATCH_BANDS * self.config.audiomae.width)
        level = CrossFade(listened.columns, 1)
        for one in listened.heard:
            first, count = one.window.first, one.window.count
            edges = (first == 0, first + count == listened.columns)
            by_column = rearrange(one.local[0], "(c f) d -> c (f d)", f=PATCH_BANDS)
            local.add(first, by_column.cpu(), OVERLAP_COLUMNS, *edges)
            level.add(first, (1 / one.gain).expand(count, 1), OVERLAP_COLUMNS, *edges)
        nothing = torch.zeros(0)
        whole = Answer(listened.heard[0].window, nothing, nothing, nothing, local.result(), level.result(), True)
        wave = torch.cat(list(self.regenerate([whole], options, watch or Stopwatch())))
        return Audio(wave[: to_model_rate(audio).shape[0]].numpy(), RATE_HZ)

    @torch.inference_mode()
    def separate(
        self,
        mixture: Audio | Listened,
        instruction: str | Instruction,
        options: SeparationOptions | None = None,
        progress: Progress | None = None,
        global_target: np.ndarray | None = None,
        local_target: Audio | None = None,
    ) -> Separation:
        """Separate a mixture as an instruction says.

        Args:
            mixture: the sound, or what `listen` returned for it.
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
            question = self.question(instruction, options)
        listened = mixture if isinstance(mixture, Listened) else self.listen(mixture, progress)
        given = None if global_target is None else torch.from_numpy(global_target)[None].to(self.device)  # (1, D)
        true = None if local_target is None else self._local_beside(local_target, listened)
        answers = list(self.answer(listened.heard, listened.columns, question, options, watch, given, true))
        with watch.stage("render", 1.0):
            joined = torch.cat([answer.mask for answer in answers])  # (T, F)
            if options.renderer != "codec":
                chosen = joined
                if options.renderer == "audiosep":
                    pieces = windows([to_model_rate(listened.mixture)], listened.columns)
                    rival = self.rival_answer(pieces, listened.columns, question, watch)
                    chosen = torch.cat([answer.mask for answer in rival])  # (T, F)
                target = apply_mask(listened.mixture, chosen)
                residual = Audio(listened.mixture.samples - target.samples, target.rate_hz)
        if options.renderer == "codec":
            other = self.opposite(question)
            rest = self.answer(listened.heard, listened.columns, other, options, watch)
            target, residual = (
                _like(self.regenerate(found, options, watch), listened.mixture) for found in (answers, rest)
            )
        by_column = torch.cat([answer.attention for answer in answers])  # (columns, layers * heads * 8)
        heads = self.config.local_separator.heads
        layers = rearrange(by_column, "c (l h f) -> l h (c f)", h=heads, f=PATCH_BANDS)
        layers = nn.functional.pad(layers, (0, max(0, PATCH_COLUMNS - listened.columns) * PATCH_BANDS))
        layers = layers / layers.sum(2, keepdim=True)  # (layers, heads, P)
        return Separation(
            mixture=listened.mixture,
            target=target,
            residual=residual,
            instruction=question.instruction,
            options=options,
            attention=layers[-1].mean(0).numpy(),
            attention_layers=layers.numpy(),
            global_mixture=listened.global_feature,
            global_target=torch.cat([answer.global_target for answer in answers]).mean(0).cpu().numpy(),
            text_embedding=question.condition.caption[0, 0].cpu().numpy(),
            mask=joined.numpy(),
            others=tuple(dict.fromkeys(answer.other for answer in answers if answer.other)),
            timings_s={**listened.timings_s, **watch.timings_s},
        )

    def _local_beside(self, audio: Audio, listened: Listened) -> Iterator[Tensor]:
        """S (1, P, D) of a sound in the windows of a mixture and at its level there; `HSMError` for another length."""
        columns = columns_of(audio.length_samples, audio.rate_hz)
        if columns != listened.columns:
            raise HSMError(
                f"local_target: got {audio.duration_s:.2f} s; wanted the mixture's {listened.mixture.duration_s:.2f} s."
            )
        pieces = windows([to_model_rate(audio)], columns)
        return (
            self._local((s * one.gain).to(self.device)[None])[0]
            for (_, s), one in zip(pieces, listened.heard, strict=True)
        )

    def global_feature(self, audio: Audio) -> np.ndarray:
        """G of any sound: (D,) float32; `HSMError` for silence."""
        return self.listen(audio).global_feature

    def _understand(self, instruction: str | Instruction, options: SeparationOptions) -> Instruction:
        """The instruction after the caller's corrections; text is not read where both parts are given."""
        if isinstance(instruction, str):
            if options.operation is not None and options.description is not None:
                return Instruction(options.operation, options.description, instruction)
            instruction = self.parse(instruction)
        if options.operation is None and options.description is None:
            return instruction
        return replace(
            instruction,
            operation=options.operation or instruction.operation,
            description=options.description or instruction.description,
            descriptions=() if options.description else instruction.descriptions,
        )

"""The paper's figure as code: the only file that joins the stages. Paper: Fig. 2, Sec. III."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from hsm.audio import (
    COLUMN_SAMPLES,
    FRAMES_PER_COLUMN,
    PATCH_BANDS,
    PATCH_COLUMNS,
    SILENCE_PEAK,
    STFT_BINS,
    is_silent,
    log_mel,
    pad_to_multiple,
    stft,
    to_model_rate,
    working_gain,
)
from hsm.bank import FeatureBank
from hsm.config import Config, config_from_dict, tiny
from hsm.errors import HSMError
from hsm.instruction import OfflineParser, Parser
from hsm.instruction.language_model import with_language_model
from hsm.instruction.neural import NeuralParser
from hsm.long_audio import OVERLAP_COLUMNS, CrossFade, Window, windows
from hsm.models import build_modules
from hsm.models.audiomae import AudioMAE
from hsm.models.mask_renderer import Guidance, MaskRenderer
from hsm.models.q_audio import QAudio
from hsm.models.separators import GlobalSeparator, LocalSeparator, TextCondition
from hsm.models.sound_encoder import SoundEncoder
from hsm.native_rate import apply_mask
from hsm.records import OPERATIONS, Audio, Instruction, Separation, SeparationOptions
from hsm.text import TextEncoder, load_text_encoder
from hsm.weights import BUNDLED, WeightFolder

STAGES = ("parse", "local features", "global features", "global separation", "local separation", "render")
CARRY = 0.5  # share of the window before in a window's Ĝ, so that the target does not flip on the way
Progress = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class Heard:
    """One window of a mixture and what does not depend on the instruction.

    Args:
        window: where it stands.
        frames: (1, T, C) the mask renderer's own hearing.
        local: S_mix (1, P, D).
        global_feature: G_mix (1, D).
    """

    window: Window
    frames: Tensor
    local: Tensor
    global_feature: Tensor


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


class _Stopwatch:
    """Reports stages as they begin and adds up their seconds."""

    def __init__(self, progress: Progress | None) -> None:
        self.progress = progress
        self.timings_s: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, fraction: float = 0.0) -> Iterator[None]:
        if self.progress is not None:
            self.progress(name, fraction)
        begin = time.perf_counter()
        yield
        self.timings_s[name] = self.timings_s.get(name, 0.0) + time.perf_counter() - begin


class HSM:
    """Hierarchical text-queried separation.

    Args:
        config: sizes.
        modules: networks by name, as `hsm.models.build_modules` makes them.
        text: the frozen text encoder.
        parser: reads instructions.
        bank: global features of training clips.
        device: where the networks compute.
        weights_info: name, file, checksum and training of each weight file.
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
    ) -> None:
        for module in modules.values():
            module.to(device).eval().requires_grad_(False)
        text.module.to(device)
        self.config, self.modules, self.text, self.parser = config, modules, text, parser
        self.bank, self.device, self.weights_info = bank, device, weights_info
        self.sound_encoder: SoundEncoder = modules["sound_encoder"]  # type: ignore[assignment]
        self.audiomae: AudioMAE = modules["audiomae"]  # type: ignore[assignment]
        self.q_audio: QAudio = modules["q_audio"]  # type: ignore[assignment]
        self.h1: GlobalSeparator = modules["global_separator"]  # type: ignore[assignment]
        self.h2: LocalSeparator = modules["local_separator"]  # type: ignore[assignment]
        self.mask: MaskRenderer = modules["mask"]  # type: ignore[assignment]

    @staticmethod
    def load(
        weights: str | Path | None = None,
        device: str = "cpu",
        language_model: str = "",
        language_model_url: str = "",
    ) -> HSM:
        """Load weights.

        Args:
            weights: a weight folder; the bundled one where not given.
            device: as torch names it, such as "cpu" or "cuda".
            language_model: reads the instructions, see `hsm.instruction.language_model`; the offline
                parser where not given.
            language_model_url: of the endpoint that serves it; loaded by name or path where not given.

        Returns:
            The model, ready to separate.

        Raises:
            HSMError: a missing, damaged or unfitting weight file, or a device that is not there.
        """
        try:
            chosen = torch.device(device)
            torch.empty(0, device=chosen)
        except (RuntimeError, AssertionError) as error:
            raise HSMError(f'device: got {device!r}, which is not to be had here ({error}); try "cpu".') from error
        folder = WeightFolder.open(weights if weights is not None else BUNDLED)
        config = config_from_dict(folder.manifest["config"])
        modules = build_modules(config)
        for name, module in modules.items():
            folder.load_into(name, module)
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
        )

    @staticmethod
    def tiny(seed: int = 0) -> HSM:
        """A random tiny model for tests: the same code path, nothing learnt."""
        config = tiny()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            modules = build_modules(config)
            features = torch.randn(60, config.q_audio.width).numpy()
        classes = tuple(("dog", "rain", "speech")[i % 3] for i in range(60))
        names = tuple(f"{c} {i}" for i, c in enumerate(classes))
        bank = FeatureBank(features, classes, names)
        return HSM(config, modules, load_text_encoder(config.text), OfflineParser(), bank, torch.device("cpu"), {})

    def parse(self, text: str) -> Instruction:
        """Understand an instruction; `HSMError` where it names no sound. Paper: Sec. III-F."""
        return self.parser.parse(text)

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
        if is_silent(audio):
            raise HSMError(
                f"mixture: all {audio.duration_s:.2f} s are silent (below {20 * np.log10(SILENCE_PEAK):.0f} dBFS); "
                "choose a recording in which something sounds."
            )
        watch = _Stopwatch(progress)
        wave = pad_to_multiple(to_model_rate(audio), COLUMN_SAMPLES)
        columns = len(wave) // COLUMN_SAMPLES
        heard = []
        for window in windows(columns):
            share = window.first / columns
            with watch.stage("local features", share):
                piece = wave[window.samples]
                piece = (piece * working_gain(piece)).to(self.device)  # (S,)
                cells = self.sound_encoder(piece[None])  # (1, cells in time, 12, E)
                local = self.audiomae(log_mel(piece[None]), cells)  # (1, P, D)
                frames = self.mask.hear(stft(piece[None]).abs(), cells)  # (1, T, C)
            with watch.stage("global features", share):
                heard.append(Heard(window, frames, local, self.q_audio.audio(local)))
        return Listened(audio, tuple(heard), columns, watch.timings_s)

    @torch.inference_mode()
    def separate(
        self,
        mixture: Audio | Listened,
        instruction: str | Instruction,
        options: SeparationOptions | None = None,
        progress: Progress | None = None,
    ) -> Separation:
        """Separate a mixture as an instruction says.

        Args:
            mixture: the sound, or what `listen` returned for it.
            instruction: free text, or an `Instruction`.
            options: choices of this call.
            progress: called with the name of a stage (`STAGES`) and the share of it that is done; an
                exception it raises stops the work.

        Returns:
            Target, residual (their sum is the mixture) and every intermediate.

        Raises:
            HSMError: silence, or an instruction that names no sound.
        """
        options = options or SeparationOptions()
        watch = _Stopwatch(progress)
        with watch.stage("parse"):
            wish = self._understand(instruction, options)
            condition, sentence = self._condition(wish)  # T_cap (1, L, D), T_task (1, W); (1, W)
            task = torch.tensor([OPERATIONS.index(wish.operation)], device=self.device)
        listened = mixture if isinstance(mixture, Listened) else self.listen(mixture, progress)

        frames = listened.columns * FRAMES_PER_COLUMN + 1
        heads = self.config.local_separator.heads
        mask = CrossFade(frames, STFT_BINS)
        attention = CrossFade(listened.columns, heads * PATCH_BANDS)
        carried: Tensor | None = None
        predictions = []
        for heard in listened.heard:
            window = heard.window
            share = window.first / listened.columns
            edges = (window.first == 0, window.first + window.count == listened.columns)
            with watch.stage("global separation", share):
                predicted = self.h1(heard.global_feature, condition)  # Ĝ (1, D)
                carried = predicted if carried is None else CARRY * carried + (1 - CARRY) * predicted
                predictions.append(carried)
            with watch.stage("local separation", share):
                separated = self.h2(heard.local, carried, condition)  # Ŝ (1, P, D)
                by_column = rearrange(separated.attention[0], "h (c f) -> c (h f)", f=PATCH_BANDS)
                attention.add(window.first, by_column.cpu(), OVERLAP_COLUMNS, *edges)  # (columns, heads * 8)
            with watch.stage("render", share):
                guidance = Guidance(carried, separated.local) if options.hierarchy else None
                logits = self.mask(heard.frames, sentence, task, guidance)  # (1, T, F)
                fade = OVERLAP_COLUMNS * FRAMES_PER_COLUMN
                mask.add(window.first_frame, logits[0].sigmoid().cpu(), fade, *edges)
        with watch.stage("render", 1.0):
            joined = mask.result()  # (T, F)
            target = apply_mask(listened.mixture, joined)
            residual = Audio(listened.mixture.samples - target.samples, target.rate_hz)
        per_head = rearrange(attention.result(), "c (h f) -> h (c f)", h=heads)
        per_head = nn.functional.pad(per_head, (0, max(0, PATCH_COLUMNS - listened.columns) * PATCH_BANDS))
        per_head = per_head / per_head.sum(1, keepdim=True)  # (heads, P)
        return Separation(
            mixture=listened.mixture,
            target=target,
            residual=residual,
            instruction=wish,
            options=options,
            attention=per_head.mean(0).numpy(),
            attention_heads=per_head.numpy(),
            global_mixture=listened.global_feature,
            global_target=torch.cat(predictions).mean(0).cpu().numpy(),
            text_embedding=condition.caption[0, 0].cpu().numpy(),
            mask=joined.numpy(),
            timings_s={**listened.timings_s, **watch.timings_s},
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

    def _condition(self, wish: Instruction) -> tuple[TextCondition, Tensor]:
        features = self.text.encode([wish.description])
        caption = self.q_audio.text(features)  # (1, L, D)
        task = self.text.task(wish.operation)  # (1, W)
        return TextCondition(caption, features.mask, task), features.sentence()

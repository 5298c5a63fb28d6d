"""What the page and the API call: each converts what is sent, calls `hsm`, and converts back."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import torch

from hsm import HSM, Audio, HSMError, Separation
from hsm.evaluation.reference_scores import is_sum, known_scores, true_target
from hsm.events import Event, events_csv
from hsm.features import MEL_BANDS
from hsm.live import Listening, hear_on
from hsm.mixing import mix
from hsm.page.figures import (
    DARK,
    LIGHT,
    BankMap,
    Palette,
    attention_alt,
    attention_figure,
    bank_alt,
    bank_figure,
    bank_points,
    marks,
    save_figure,
    spectrogram_figure,
)
from hsm.page.files import request_folder, save_bundle, served, sound_paths
from hsm.page.player import Track, attention_layers, level_bytes, player_record, separation_tracks, stem_tracks
from hsm.page.requests import AS_UNDERSTOOD, Truth, page_errors, read_clip, read_wish, read_wishes
from hsm.page.texts import events_table, instruction_json, scores_table, separation_json, stage_report, understood_line
from hsm.progress import STAGES, Step, in_steps
from hsm.reading import open_sound
from hsm.stems import Request, named_targets, separate_each, share_out
from hsm.writing import save_parts

PARTS = ("the first sound", "the second sound")
LEVELS = "levels.bin"


def gpu_seconds(clip: Audio, wishes: Sequence[Request]) -> int:
    """Seconds of a shared GPU to ask for."""
    return round(15 + clip.duration_s / 10 * len(wishes))


@dataclass(frozen=True)
class Results:
    """What a visitor gets."""

    understood: gr.HTML
    earlier: gr.HTML
    report: gr.HTML
    sounds: gr.Column
    player: gr.HTML
    times: gr.HTML
    scores: gr.HTML
    csv: gr.DownloadButton
    kept: gr.State
    pictures: gr.Column
    attention: gr.HTML
    bank: gr.HTML
    data: gr.JSON

    @property
    def all(self) -> list[Any]:
        """Every component that a run may change."""
        return list(vars(self).values())


Steps = Callable[[Audio, Sequence[Request]], Generator[Step | tuple[Separation, ...], None, None]]


def on_gpu(work: Steps) -> Steps:
    """Borrow a GPU on a Space that shares them; elsewhere change nothing."""
    spaces = sys.modules.get("spaces")  # app.py imports it before torch, where it is installed
    return work if spaces is None else spaces.GPU(duration=gpu_seconds)(work)


class Handlers:
    """What the page and the API call. Holds what all visitors share and nobody changes.

    Args:
        model: separates.
        aside: does all the rest; on a Space that lends a GPU to separations only, this one stays on the CPU.
    """

    def __init__(self, model: HSM, aside: HSM | None = None) -> None:
        self.model, self.aside = model, aside or model
        # A few seconds of work that no visitor should wait for, and the same map for all of them.
        background = ThreadPoolExecutor(1, thread_name_prefix="bank-map")
        self.bank_map: Future[BankMap] = background.submit(BankMap.fit, model.bank)
        background.shutdown(wait=False)

        def steps(clip: Audio, wishes: Sequence[Request]) -> Generator[Step | tuple[Separation, ...], None, None]:
            yield from in_steps(lambda progress: separate_each(model, clip, wishes, progress))

        self.steps = on_gpu(steps)
        self._running: dict[str | None, threading.Event] = {}

    @contextmanager
    def cancellable(self, session: str | None) -> Iterator[threading.Event]:
        """While a visitor's run lasts: what tells it that `cancel` was called.

        Gradio closes a run's generator between two answers, but one that waits for a stage to end is hardly
        ever caught there; so the run looks for itself.
        """
        self._running[session] = given_up = threading.Event()
        try:
            yield given_up
        finally:
            self._running.pop(session, None)

    def cancel(self, session: str | None) -> None:
        """End a visitor's run at its next step."""
        if running := self._running.get(session):
            running.set()

    def parse(self, text: str) -> dict[str, Any]:
        """Read an instruction without separating anything.

        Args:
            text: free text such as "remove the dog barking"; a bare caption counts as an extraction.

        Returns:
            operation ("extract" or "remove"), description, parser and confidence from 0 to 1.
        """
        with page_errors():
            return instruction_json(self.aside.parse(text))

    def separate(
        self, audio: str, instruction: str, operation: str = AS_UNDERSTOOD, description: str = ""
    ) -> tuple[str, str, dict[str, Any]]:
        """Separate the sound that an instruction names from the rest of a recording.

        Args:
            audio: the mixture, a sound file of up to ten minutes.
            instruction: what to do, such as "extract the dog barking" or "remove the rain".
            operation: "extract" or "remove" to overrule the instruction, else "as understood".
            description: the sound to separate, to overrule the instruction; empty to follow it.

        Returns:
            The target and the residual as WAV at the rate and depth and with the channels of the mixture, and
            a record of what was understood, of the attention over time and of the seconds each stage took.
        """
        with page_errors():
            clip = read_clip(audio)
            *_, found = self.steps(clip, [read_wish(instruction, operation, description)])
        assert isinstance(found, tuple)
        paths = sound_paths(request_folder(), audio, ["target", "residual"])
        recording = open_sound(audio)
        save_parts(clip, [found[0].target], paths, recording.depth, recording)
        return str(paths[0]), str(paths[1]), separation_json(found[0])

    def mix(self, first: str, second: str, snr_db: float = 0.0) -> str:
        """Mix two known sounds, to have a mixture whose parts are known.

        Args:
            first: a sound file; sets rate, channels and length.
            second: a sound file; repeated or cut to the length of the first.
            snr_db: how much louder the first is than the second, in dB, -30 to 30.

        Returns:
            The mixture as WAV.
        """
        with page_errors():
            mixture = mix(read_clip(first), read_clip(second), snr_db).mixture
        return str(mixture.save(request_folder() / "mixture.wav"))

    def mix_known(self, first: str, second: str, snr_db: float, named: str) -> tuple[str, Truth]:
        """The same for the page, which keeps the parts to hold the separation against them."""
        with page_errors():
            known = mix(read_clip(first), read_clip(second), snr_db)
        folder = request_folder()
        files = [
            str(sound.save(folder / f"{name}.wav"))
            for name, sound in (("mixture", known.mixture), ("first", known.first), ("second", known.second))
        ]
        return files[0], Truth(tuple(files[1:]), PARTS, PARTS.index(named))

    def understood(self, text: str) -> str:
        """The instruction as understood, while it is typed."""
        try:
            if targets := named_targets(text):
                return stems_line(targets)
            return understood_line(self.aside.preview(text)) if text.strip() else ""
        except HSMError:
            return ""  # half a sentence; the whole one is judged when it is sent

    def hear_live(
        self, chunk: tuple[int, np.ndarray] | None, before: Listening | None, text: str, description: str
    ) -> tuple[Listening | None, dict[str, Any] | None]:
        """The next piece from the microphone: where and how loud the named sound is in it."""
        if chunk is None:
            return before, gr.skip()
        with page_errors():
            sound = description.strip() or (self.aside.parse(text).description if text.strip() else "")
            if not sound:
                raise HSMError('Name a sound in the instruction first, for example "dog barking".')
            rate_hz, samples = chunk
            full_scale = -float(np.iinfo(samples.dtype).min) if samples.dtype.kind == "i" else 1.0
            piece = Audio(samples.astype(np.float32).T / full_scale, rate_hz)
            heard = hear_on(self.aside, before or Listening.begin(rate_hz), piece, sound)
        return heard, live_value(heard, sound)

    def known(self, clip: Audio, separation: Separation, truth: Truth | None) -> Known | None:
        """What is known about the target of a recording; None where its parts are not at hand."""
        if truth is None or not all(Path(file).is_file() for file in truth.files):
            return None
        parts = [Audio.load(file) for file in truth.files]
        if not is_sum(clip, parts):
            return None  # another recording was brought since
        instruction = separation.instruction
        named = truth.named
        if named is None:
            meant = self.aside.model.text.encode([instruction.description, *truth.names]).sentence()  # (1 + parts, W)
            likeness = torch.nn.functional.cosine_similarity(meant[:1], meant[1:])
            named = int(likeness.argmax())
        wanted = true_target(parts, named, instruction.operation)
        feature = self.aside.global_feature(wanted)
        seen = self.aside.separate(clip, instruction, separation.options, global_target=feature)
        words = truth.names[named] if instruction.operation == "extract" else f"all but {truth.names[named]}"
        return Known(wanted, words, feature, seen)

    def draw(
        self, separation: Separation, known: Known | None, folder: Path, palette: Palette
    ) -> Iterator[tuple[str, Any]]:
        """The pictures one by one: the name of the component, and its value."""
        seen, feature = (known.seen, known.feature) if known else (None, None)
        path = save_figure(attention_figure(separation, palette, seen), folder / "attention.png")
        address = served(path)
        # Gradio's own image loses a value that comes while it is mounted.
        image = f'<img src="{address}" alt="{escape(attention_alt(separation))}">'
        yield "attention", f'<a href="{address}" target="_blank">{image}</a>'
        bank_map = self.bank_map.result()
        marked = marks(separation, feature)
        figure = bank_figure(bank_map, marked, palette)
        path = save_figure(figure, folder / "global_features.png")
        clips = bank_points(bank_map, figure)
        yield "bank", {"url": served(path), "alt": bank_alt(bank_map, marked), "clips": clips}


@dataclass(frozen=True, eq=False)
class Known:
    """What the truth says.

    Args:
        wanted: what should come out.
        words: the same in words.
        feature: (D,) its global feature.
        seen: the separation computed with that feature in the place of the predicted one.
    """

    wanted: Audio
    words: str
    feature: np.ndarray
    seen: Separation


@dataclass(frozen=True)
class Kept:
    """What stays on the disk of a run, to be packed when it is asked for.

    Args:
        folder: of the request.
        name: of the recording.
        sounds: WAV files.
        tracks: names of the player's rows.
        duration_s: of each.
        dark: whether the page is dark.
    """

    folder: Path
    name: str
    sounds: tuple[Path, ...]
    tracks: tuple[str, ...]
    duration_s: float
    dark: bool


def stems_line(targets: Sequence[str]) -> str:
    """How a list of sounds is understood, in one line."""
    names = escape(", ".join(targets))
    return f'<p class="understood"><span class="operation">Stems</span> <strong>{names}, the rest</strong></p>'


def live_value(heard: Listening, sound: str) -> dict[str, Any]:
    """What the live view draws."""
    curves = {"named_db": heard.named_db, "whole_db": heard.whole_db, "attention": heard.attention}
    rounded = {name: [round(float(value), 2) for value in curve] for name, curve in curves.items()}
    return {"sound": sound, **rounded}


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run gave, as the page shows it.

    Args:
        separations: the first is the one that pictures show.
        tracks: rows of the player.
        letters: those of tracks whose names are hidden, by their number.
        looks: whose attention can be looked at, by name.
    """

    separations: tuple[Separation, ...]
    tracks: tuple[Track, ...]
    letters: dict[int, str]
    looks: dict[str, Separation]

    @staticmethod
    def of(
        separations: tuple[Separation, ...], compared: Sequence[str], targets: Sequence[str], blind: bool
    ) -> Outcome:
        """Put the answers of a run in the player's order."""
        if targets:
            shared = share_out(separations)
            looks = dict(zip(targets, shared, strict=True))
            return Outcome(shared, stem_tracks(shared), {}, looks)
        first, *others = separations
        looks = {first.instruction.description: first}
        tracks = separation_tracks(first, dict(zip(compared, others, strict=True)))
        if not (blind and others):
            return Outcome(separations, tracks, {}, looks)
        mixture, target, residual, *rest = tracks
        hidden = random.sample([target, *rest], len(separations))
        letters = {number: chr(64 + number) for number in range(1, 1 + len(hidden))}
        return Outcome(separations, (mixture, *hidden, residual), letters, looks)

    def save(self, folder: Path, upload: str, compared: Sequence[str], targets: Sequence[str]) -> list[Path]:
        """Write the sounds in the order in which tracks count them."""
        first, *others = self.separations
        recording = open_sound(upload)
        if targets:
            paths = sound_paths(folder, upload, [*(f"{i}_{name}" for i, name in enumerate(targets, 1)), "rest"])
            save_parts(first.mixture, [one.target for one in self.separations], paths, recording.depth, recording)
            return paths
        paths = sound_paths(folder, upload, ["target", "residual", *(f"target_by_{name}" for name in compared)])
        save_parts(first.mixture, [first.target], paths[:2], recording.depth, recording)
        return paths[:2] + [other.target.save(path) for other, path in zip(others, paths[2:], strict=True)]

    def player(self, folder: Path, sounds: Sequence[Path], events: dict[str, tuple[Event, ...]]) -> dict[str, Any]:
        """What the player gets: plain data, and addresses of files."""
        levels, looks = folder / LEVELS, folder / "attention.bin"
        levels.write_bytes(level_bytes(self.tracks).tobytes())
        looks.write_bytes(attention_layers(tuple(self.looks.values())).tobytes())
        record = player_record(self.tracks, self.looks, events)
        for number, letter in self.letters.items():
            record["tracks"][number]["letter"] = letter
        return record | {
            "files": [served(path) for path in sounds],
            "saved": [path.name for path in sounds],
            "levels": served(levels),
            "looks": served(looks),
            "blind": bool(self.letters),
        }


def pack(kept: Kept) -> dict[str, str | int]:
    """Everything of a run in one file: sounds as FLAC, pictures, times and a record."""
    with page_errors():
        if not kept.folder.is_dir():
            raise HSMError("The files of this run were deleted after an hour: separate once more.")
        levels = np.frombuffer((kept.folder / LEVELS).read_bytes(), dtype=np.uint8)
        levels = levels.reshape(len(kept.tracks), -1, MEL_BANDS)  # (tracks, columns, M)
        figure = spectrogram_figure(kept.tracks, levels, kept.duration_s, DARK if kept.dark else LIGHT)
        save_figure(figure, kept.folder / "spectrograms.png")
        files = sorted(path for path in kept.folder.iterdir() if path.suffix in (".png", ".csv", ".json"))
        bundle = save_bundle(kept.sounds, files, kept.folder / f"{kept.name}.zip")
    return {"url": served(bundle), "name": bundle.name, "at": round(1_000 * time.time())}  # new at every click


def cancelled_report() -> str:
    """What stands where the stages stood."""
    return stage_report(STAGES, {}, None, "Cancelled. Sound and instruction are still here.")


def run(handlers: Handlers, results: Results) -> Callable[..., Iterator[dict[Any, Any]]]:
    """The handler of the page's button: sound first, as soon as it exists, then the pictures.

    Every answer holds all that is shown so far: a browser that is behind draws only the newest one.
    """

    def separate_and_show(
        path: str | None,
        text: str,
        operation: str,
        description: str,
        dark: bool,
        compared: list[str],
        blind: bool,
        truth: Truth | None,
        request: gr.Request | None = None,
    ) -> Iterator[dict[Any, Any]]:
        with page_errors(), handlers.cancellable(request.session_hash if request else None) as given_up:
            targets = () if description.strip() else named_targets(text)
            wishes = read_wishes(text, operation, description, compared, targets)
            clip = read_clip(path)
            assert path is not None
            shown: dict[Any, Any] = {
                results.report: stage_report(STAGES, {}, STAGES[0], "Starting."),
                results.sounds: gr.update(visible="hidden"),
                results.player: None,  # what still plays ends
                results.scores: "",
                results.pictures: gr.update(visible="hidden"),
            }
            yield dict(shown)
            begin = time.perf_counter()
            found: tuple[Separation, ...] = ()
            seconds: dict[str, float] = {}
            with closing(handlers.steps(clip, wishes)) as steps:
                for step in steps:
                    if given_up.is_set():
                        yield shown | {results.report: cancelled_report()}
                        return
                    if isinstance(step, tuple):
                        found = step
                    else:
                        seconds = step.seconds
                        shown |= {results.report: stage_report(STAGES, seconds, step.stage, "", step.share)}
                        yield dict(shown)
        took = f"{time.perf_counter() - begin:.1f} s for {clip.duration_s:.1f} s of sound."
        outcome = Outcome.of(found, compared, targets, blind)
        first = outcome.separations[0]
        folder = request_folder()
        sounds = outcome.save(folder, path, compared, targets)
        if first.competing_sounds and not targets:
            took += f" Told apart from what it took for {', '.join(first.competing_sounds)}."
        events = {name: one.events for name, one in outcome.looks.items()}
        csv = folder / "times.csv"
        csv.write_text(events_csv(events), encoding="utf-8")
        names = tuple(track.name for track in outcome.tracks)
        shown |= {
            results.understood: stems_line(targets) if targets else understood_line(first.instruction),
            results.report: stage_report(STAGES, seconds, None, f"{took} Drawing the pictures."),
            results.sounds: gr.update(visible=True),
            results.player: outcome.player(folder, sounds, events),
            results.times: "".join(events_table(spans, name) for name, spans in events.items()),
            results.csv: str(csv),
            results.kept: Kept(folder, Path(path).stem[:60], tuple(sounds), names, clip.duration_s, dark),
            results.pictures: gr.update(visible=True),
        }
        yield dict(shown)
        known = None if targets else handlers.known(clip, first, truth)
        scores = None
        if known:
            estimates = {"this separation": first.target, "with the true global feature": known.seen.target}
            estimates |= {f"by {name}": one.target for name, one in zip(compared, found[1:], strict=True)}
            try:
                scores = known_scores(clip, known.wanted, estimates)
                shown[results.scores] = scores_table(scores, known.words)
            except HSMError as error:
                shown[results.scores] = f'<p class="hint">{escape(str(error))}</p>'
        for name, value in handlers.draw(first, known, folder, DARK if dark else LIGHT):
            shown[getattr(results, name)] = value
            yield dict(shown)
        data = separation_json(first) | {"scores": scores, "others": [separation_json(one) for one in found[1:]]}
        (folder / "separation.json").write_text(json.dumps(data, indent=2, ensure_ascii=False), encoding="utf-8")
        yield shown | {
            results.data: data,
            results.report: stage_report(STAGES, seconds, None, took),
            results.earlier: {
                "instruction": text,
                "operation": operation,
                "description": description,
                "understood": "stems" if targets else first.instruction.operation,
                "at": round(1_000 * time.time()),
            },
        }

    return separate_and_show

"""What the page and the API call: each converts what is sent, calls `hsm`, and converts back.

Nothing of a user is kept on a shared object; each request writes to a folder of its own.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import torch

from hsm import HSM, Audio, HSMError, Separation
from hsm.audio import load_audio
from hsm.audio.reading import open_sound
from hsm.audio.writing import save_parts
from hsm.evaluation.reference_scores import is_sum, known_scores, true_target
from hsm.events import events_csv
from hsm.features import MEL_BANDS, PATCH_BANDS
from hsm.live import Listening, hear_on
from hsm.mixing import mix
from hsm.page.figures import (
    BankMap,
    attention_figure,
    attention_grid,
    map_figure,
    map_record,
    marks,
    save_figure,
    spectrogram_figure,
)
from hsm.page.files import request_folder, save_bundle, served, sound_paths
from hsm.page.gate import has_left
from hsm.page.player import Track, attention_layers, level_bytes, player_record, separation_tracks, stem_tracks
from hsm.page.requests import (
    AS_UNDERSTOOD,
    LONGEST_PIECE_S,
    MOST_WAIT_S,
    Reference,
    check_work,
    listed_sounds,
    log,
    page_errors,
    read_clip,
    read_request,
    read_requests,
)
from hsm.page.texts import (
    absent_note,
    events_table,
    heard_events,
    hint,
    instruction_json,
    report,
    scores_table,
    separation_json,
    stems_line,
    understood_line,
)
from hsm.progress import Step, in_steps
from hsm.stems import Request, separate_each, share_out

PARTS = ("the first sound", "the second sound")
LEVELS, MAPS, RECORD = "levels.bin", "attention.npy", "separation.json"
CANCELLED = report("Cancelled. Sound and instruction are still here.")
FAILED = report("Not separated. Sound and instruction are still here.")
Answers = Generator[Step | tuple[Separation, ...], None, None]
Steps = Callable[[Audio, Sequence[Request]], Answers]


def gpu_seconds(clip: Audio, requests: Sequence[Request]) -> int:
    """Seconds of a shared GPU to ask for; the codec draws its 50 frames a second one after another."""
    shares = [1.0 if options.renderer == "codec" else 0.1 for _, options in requests]
    return round(15 + clip.duration_s * sum(shares))


def on_gpu(work: Steps) -> Steps:
    """Borrow a GPU on a Space that shares them; elsewhere change nothing."""
    spaces = sys.modules.get("spaces")  # app.py imports it before torch, where it is installed
    return work if spaces is None else spaces.GPU(duration=gpu_seconds)(work)


def steps_of(model: HSM) -> Steps:
    """What separates with a model, and tells how far it is."""

    def steps(clip: Audio, requests: Sequence[Request]) -> Answers:
        yield from in_steps(lambda progress: separate_each(model, clip, requests, progress))

    return steps


def waited_for(steps: Answers, request: gr.Request | None) -> Answers:
    """The same steps, ended where the user has left, or where they keep the others waiting for too long."""
    begin = time.monotonic()
    with closing(steps):
        for step in steps:
            if request and has_left(request):
                raise HSMError("Nobody waits for this any more.")
            if time.monotonic() - begin > MOST_WAIT_S:
                raise HSMError(f"This took longer than {MOST_WAIT_S / 60:.0f} minutes: ask for less at once.")
            yield step


class Handlers:
    """What all users share and nobody changes.

    `model` separates, `cpu_model` does all the rest: on a Space that lends a GPU to separations only, it stays on the
    CPU. The example is separated at once, so that the page opens with a result.
    """

    def __init__(self, model: HSM, cpu_model: HSM | None = None, example: Mapping[str, Any] | None = None) -> None:
        self.model, self.cpu_model = model, cpu_model or model
        self.steps = on_gpu(steps_of(model))
        self.running: dict[str | None, threading.Event] = {}
        self.kept: list[Path] = []  # folders that stay as long as the server runs
        # A few seconds of work that no user should wait for, and the same for all of them.
        background = ThreadPoolExecutor(1, thread_name_prefix="first-result")
        self.bank_map: Future[BankMap] = background.submit(BankMap.fit, model.bank)
        self.first: Future[dict[str, Any]] = background.submit(self.first_result, example)
        background.shutdown(wait=False)

    # --- The API ---

    def parse(self, text: str) -> dict[str, Any]:
        """Read an instruction without separating anything.

        Args:
            text: free text such as "remove the dog barking"; a bare caption counts as an extraction.

        Returns:
            operation ("extract" or "remove"), description, parser and confidence from 0 to 1.
        """
        with page_errors():
            understood, _ = read_request(text, AS_UNDERSTOOD, "")
            assert isinstance(understood, str)
            return instruction_json(self.cpu_model.parse(understood))

    def separate(
        self,
        audio: str,
        instruction: str,
        operation: str = AS_UNDERSTOOD,
        description: str = "",
        renderer: str = "mask",
        request: gr.Request | None = None,
    ) -> tuple[str, str, dict[str, Any]]:
        """Separate what an instruction names from the rest of a recording.

        Args:
            audio: the mixture, a sound file of up to ten minutes.
            instruction: such as "extract the dog barking" or "remove the rain"; "dog; rain" gives a stem for each.
            operation: "extract" or "remove" to overrule the instruction, else "as understood".
            description: the sound to separate, to overrule the instruction; empty to follow it.
            renderer: "mask" filters the recording; "codec" draws the target anew; "audiosep" is the baseline.

        Returns:
            the target and the residual as WAV at the rate and depth and with the channels of the mixture
            a record of what was understood, of the attention over time and of the seconds each stage took
            of a list, a target of all named sounds together, and in the record's `stems` a file of each
        """
        with page_errors():
            sounds = listed_sounds(instruction, description)
            requests = read_requests(instruction, operation, description)
            requests = [(one, replace(options, renderer=renderer)) for one, options in requests]  # type: ignore[arg-type]
            clip = read_clip(audio)
            check_work(clip, requests)
            *_, found = waited_for(self.steps(clip, requests), request)
            assert isinstance(found, tuple)
            result, folder = RunResult.of(found, (), sounds, blind=False), request_folder()
            paths, record = result.save(folder, audio), result.record
            if sounds:
                files = [gr.FileData(path=str(path), url=f"/{served(path)}").model_dump() for path in paths[:-1]]
                record["stems"] = [{"sound": name, "file": file} for name, file in zip(sounds, files, strict=True)]
                target = Audio(np.sum([one.target.samples for one in result.separations], axis=0), clip.rate_hz)
                paths, recording = sound_paths(folder, audio, ["target", "residual"]), open_sound(audio)
                save_parts(clip, [target], paths, recording.depth, recording)
        return str(paths[0]), str(paths[1]), record

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

    # --- The page ---

    def understood(self, text: str, operation: str, description: str) -> str:
        """What will be done, while it is typed, or why it cannot be done yet."""
        if not (text or "").strip() and not (description or "").strip():
            return ""
        try:
            requests = read_requests(text, operation, description)
            if sounds := listed_sounds(text, description):
                return stems_line(sounds)
            one, options = requests[0]
            given = options.operation is not None or options.description is not None
            return understood_line(self.cpu_model.preview(one, options) if isinstance(one, str) else one, given)
        except HSMError as error:
            return hint(str(error))
        except Exception:  # whatever half a sentence does to a parser, typing goes on
            log.exception("a fault of ours")
            return ""

    def mix_known(self, first: str, second: str, snr_db: float, named: str) -> tuple[str, Reference]:
        """A mixture as the recording, with its parts to hold the separation against."""
        with page_errors():
            known = mix(read_clip(first), read_clip(second), snr_db)
            folder = request_folder()
            files = [
                str(sound.save(folder / f"{name}.wav"))
                for name, sound in (("mixture", known.mixture), ("first", known.first), ("second", known.second))
            ]
            return files[0], Reference(tuple(files[1:]), PARTS, PARTS.index(named))

    def hear_live(
        self, piece: str | None, before: Listening | None, text: str, description: str
    ) -> tuple[Listening | None, dict[str, Any] | None]:
        """The next piece from the microphone: where and how loud the named sound is in it."""
        if piece is None:
            return before, gr.skip()
        with page_errors():
            chunk = load_audio(piece, LONGEST_PIECE_S)
            try:
                one, options = read_request(text, AS_UNDERSTOOD, description)
                sound = options.description or (self.cpu_model.parse(one) if isinstance(one, str) else one).description
            except HSMError as error:  # shown in the view: a toast would come twice a second
                return before, {"asks": str(error)}
            heard = hear_on(self.cpu_model, before or Listening.begin(chunk.rate_hz), chunk, sound)
        curves = {"named_db": heard.named_db, "whole_db": heard.whole_db, "attention": heard.attention}
        rounded = {name: [round(float(value), 2) for value in curve] for name, curve in curves.items()}
        return heard, {"sound": sound, **rounded}

    @contextmanager
    def cancellable(self, session: str | None) -> Iterator[threading.Event]:
        """While a user's run lasts: what tells it that `cancel` was called.

        Gradio closes a run's generator between two answers, but one that waits for a stage to end is hardly
        ever caught there; so the run looks for itself.
        """
        self.running[session] = cancelled = threading.Event()
        try:
            yield cancelled
        finally:
            self.running.pop(session, None)

    def cancel(self, session: str | None) -> bool:
        """End a user's run at its next step; whether there is one."""
        if running := self.running.get(session):
            running.set()
        return running is not None

    def run(
        self,
        path: str | None,
        text: str,
        operation: str,
        description: str,
        compared: Sequence[str],
        blind: bool,
        reference: Reference | None,
        request: gr.Request | None = None,
        steps: Steps | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The page's button: values of components by name, sound first, then the scores.

        Every answer holds all that is new so far: a browser that is behind draws only the newest one.
        """
        with page_errors(), self.cancellable(request.session_hash if request else None) as cancelled:
            yield {"report": report("Reading the recording.", share=0.0), "cancel": gr.update(interactive=True)}
            sounds, compared = listed_sounds(text, description), list(dict.fromkeys(compared))
            requests = read_requests(text, operation, description, compared)
            clip = read_clip(path)
            assert path is not None
            check_work(clip, requests)
            begin = time.perf_counter()
            seconds: dict[str, float] = {}
            found: tuple[Separation, ...] = ()
            with closing(waited_for((steps or self.steps)(clip, requests), request)) as running:
                for step in running:
                    if cancelled.is_set():
                        yield {"report": CANCELLED, "cancel": gr.update(interactive=False)}
                        return
                    if isinstance(step, tuple):
                        found = step
                    else:
                        seconds = step.seconds
                        yield {"report": report("", seconds, step.stage, step.share)}
            took = f"Done in {time.perf_counter() - begin:.1f} s for {clip.duration_s:.1f} s of sound."
            folder = request_folder()
            result = RunResult.of(found, compared, sounds, blind)
            shown = result.show(folder, path, f"{Path(path).name}: {text.strip() or description.strip()}")
            given = operation not in ("", AS_UNDERSTOOD) or bool(description.strip())
            first = result.separations[0]
            if first.competing_sounds and not sounds:
                took += f" Told apart from what it took for {', '.join(first.competing_sounds)}."
            shown |= {
                "understood": stems_line(sounds) if sounds else understood_line(first.instruction, given),
                "report": report(took, seconds, "", 1.0),
            }
            yield dict(shown)
            shown["map"] = map_record(self.bank_map.result(), marks(first))
            data = result.record
            if known := None if sounds else self.known(clip, first, reference):
                estimates = {"this separation": first.target, "with the true global feature": known.seen.target}
                estimates |= {f"by {name}": one.target for name, one in zip(compared, found[1:], strict=True)}
                try:
                    data["scores"] = known_scores(clip, known.wanted, estimates)
                    shown["scores"] = scores_table(data["scores"], known.words)
                except HSMError as error:
                    shown["scores"] = hint(str(error))
                shown["map"] = map_record(self.bank_map.result(), marks(first, known.feature))
                np.save(folder / MAPS, [attention_grid(first), attention_grid(known.seen)])
                shown["kept"] = replace(shown["kept"], maps=("predicted", "with the true global feature"))
            (folder / RECORD).write_text(json.dumps(data, indent=2, ensure_ascii=False), encoding="utf-8")
            (folder / "map.json").write_text(json.dumps(shown["map"]), encoding="utf-8")
            yield shown | {
                "data": data,
                "report": report(took, seconds),
                "cancel": gr.update(interactive=False),
                "earlier": {
                    "instruction": text,
                    "operation": operation,
                    "description": description,
                    "understood": "stems" if sounds else first.instruction.operation,
                    "at": round(1_000 * time.time()),
                },
            }

    def first_result(self, example: Mapping[str, Any] | None) -> dict[str, Any]:
        """What the page opens with: an example, separated when the server started."""
        if example is None:
            return {}
        path, text, reference = example["path"], example["instruction"], example["reference"]
        *_, last = self.run(path, text, AS_UNDERSTOOD, "", [], False, reference, steps=steps_of(self.cpu_model))
        self.kept.append(last["kept"].folder)
        last["player"]["title"] = f"{example['title']}: “{text}”"
        last["player"]["label"] = "An example, separated when this server started"
        shown = ("player", "times", "scores", "csv", "kept", "map", "data")
        return {name: last[name] for name in shown}

    def known(self, clip: Audio, separation: Separation, reference: Reference | None) -> Known | None:
        """What is known about the target of a recording; None where its parts are not at hand."""
        if reference is None or not all(Path(file).is_file() for file in reference.files):
            return None
        parts = [Audio.load(file) for file in reference.files]
        if not is_sum(clip, parts):
            return None  # another recording was brought since
        instruction, named = separation.instruction, reference.named
        if named is None:
            texts = [instruction.description, *reference.names]
            meant = self.cpu_model.model.text.encode(texts).sentence()  # (1 + parts, W)
            named = int(torch.nn.functional.cosine_similarity(meant[:1], meant[1:]).argmax())
        wanted = true_target(parts, named, instruction.operation)
        feature = self.cpu_model.global_feature(wanted)
        seen = self.cpu_model.separate(clip, instruction, separation.options, global_target=feature)
        name = reference.names[named]
        return Known(wanted, name if instruction.operation == "extract" else f"all but {name}", feature, seen)


@dataclass(frozen=True, eq=False)
class Known:
    """What the truth says of a separation."""

    wanted: Audio  # what should come out
    words: str  # the same in words
    feature: np.ndarray  # (D,) its global feature
    seen: Separation  # the separation with that feature in the place of the predicted one


@dataclass(frozen=True)
class RunFiles:
    """What stays on the disk of a run, to be packed when it is asked for."""

    folder: Path
    name: str  # of the recording
    sounds: tuple[Path, ...]
    tracks: tuple[str, ...]
    maps: tuple[str, ...]  # of attention
    duration_s: float
    even: float  # a column's share of attention that is spread evenly


@dataclass(frozen=True, eq=False)
class RunResult:
    """What a run gave, as the page shows it."""

    separations: tuple[Separation, ...]  # the pictures show the first
    tracks: tuple[Track, ...]
    letters: dict[int, str]  # of tracks whose names are hidden, by their number
    attention_maps: dict[str, Separation]  # whose attention can be looked at, by name
    names: tuple[str, ...]  # of the sound files

    @staticmethod
    def of(
        separations: tuple[Separation, ...], compared: Sequence[str], sounds: Sequence[str], blind: bool
    ) -> RunResult:
        """Put the answers of a run in the player's order."""
        if sounds:
            shared = share_out(separations)
            names = (*(f"{i}_{name}" for i, name in enumerate(sounds, 1)), "rest")
            return RunResult(shared, stem_tracks(shared), {}, dict(zip(sounds, shared, strict=True)), names)
        first, *others = separations
        names = ("target", "residual", *(f"target_by_{name}" for name in compared))
        attention_maps = {first.instruction.description: first}
        tracks = separation_tracks(first, dict(zip(compared, others, strict=True)))
        if not (blind and others):
            return RunResult(separations, tracks, {}, attention_maps, names)
        mixture, target, residual, *rest = tracks
        hidden = random.sample([target, *rest], len(separations))
        letters = {number: chr(64 + number) for number in range(1, 1 + len(hidden))}
        return RunResult(separations, (mixture, *hidden, residual), letters, attention_maps, names)

    @property
    def record(self) -> dict[str, Any]:
        """What a program wants to know beside the sounds."""
        first, *others = self.separations
        return separation_json(first) | {"others": [separation_json(one) for one in others]}

    def save(self, folder: Path, upload: str) -> list[Path]:
        """Write the sounds in the order in which tracks count them."""
        first, *others = self.separations
        paths, recording = sound_paths(folder, upload, self.names), open_sound(upload)
        if self.names[-1] == "rest":
            parts = [one.target for one in self.separations]
            save_parts(first.mixture, parts, paths, recording.depth, recording)
            return paths
        save_parts(first.mixture, [first.target], paths[:2], recording.depth, recording)
        return paths[:2] + [other.target.save(path) for other, path in zip(others, paths[2:], strict=True)]

    def show(self, folder: Path, upload: str, title: str) -> dict[str, Any]:
        """Write all files of a run; what the page shows of them."""
        sounds = self.save(folder, upload)
        levels, layers, csv = folder / LEVELS, folder / "attention.bin", folder / "times.csv"
        levels.write_bytes(level_bytes(self.tracks).tobytes())
        layers.write_bytes(attention_layers(tuple(self.attention_maps.values())).tobytes())
        np.save(folder / MAPS, [attention_grid(one) for one in self.attention_maps.values()])
        events = {name: heard_events(one) for name, one in self.attention_maps.items()}
        csv.write_text(events_csv(events), encoding="utf-8")
        notes = {name: absent_note(one) for name, one in self.attention_maps.items()}
        first = self.separations[0]
        told = [note for note in (first.mixture.warning, *notes.values()) if note]
        player = player_record(self.tracks, self.attention_maps, events, told)
        for number, letter in self.letters.items():
            player["tracks"][number]["letter"] = letter
        player |= {
            "title": title,
            "files": [served(path) for path in sounds],
            "saved": [path.name for path in sounds],
            "levels": served(levels),
            "looks": served(layers),
            "blind": bool(self.letters),
        }
        names, even = tuple(track.name for track in self.tracks), PATCH_BANDS / first.attention.size
        name, duration_s = Path(upload).stem[:60], first.mixture.duration_s
        return {
            "player": player,
            "times": "".join(events_table(spans, name, notes[name]) for name, spans in events.items()),
            "scores": "",
            "csv": str(csv),
            "kept": RunFiles(folder, name, tuple(sounds), names, tuple(self.attention_maps), duration_s, even),
        }


def pack(kept: RunFiles) -> dict[str, str | int]:
    """Everything of a run in one file: sounds as FLAC, pictures, times and a record."""
    with page_errors():
        if not (kept.folder / RECORD).is_file():
            raise HSMError("The files of this run were deleted after an hour: separate once more.")
        levels = np.frombuffer((kept.folder / LEVELS).read_bytes(), dtype=np.uint8)
        levels = levels.reshape(len(kept.tracks), -1, MEL_BANDS)  # (tracks, columns, M)
        maps = dict(zip(kept.maps, np.load(kept.folder / MAPS), strict=True))
        figures = {
            "spectrograms": spectrogram_figure(kept.tracks, levels, kept.duration_s),
            "attention": attention_figure(maps, levels[0], kept.duration_s, kept.even),
            "global_features": map_figure(json.loads((kept.folder / "map.json").read_text(encoding="utf-8"))),
        }
        pictures = [save_figure(figure, kept.folder / f"{name}.png") for name, figure in figures.items()]
        files = [*pictures, kept.folder / "times.csv", kept.folder / RECORD]
        bundle = save_bundle(kept.sounds, files, kept.folder / f"{kept.name}.zip")
        return {"url": served(bundle), "name": bundle.name, "at": round(1_000 * time.time())}  # new at every click

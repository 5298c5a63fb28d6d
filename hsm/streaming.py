"""A file separated from disk to disk: hours of sound in the memory of one window and one block.

    file ──blocks──> 16 kHz ──windows──> networks ──mask frames──┐   the mask is computed
    file ──blocks──────────────────────────────────────────> filter ──> target, mixture − target

The file is read twice at once, and once before: so its length is known, and its faults show before any
work is spent on it. Windows, networks and filter are those of `HSM.separate`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

import torch

from hsm.errors import HSMError
from hsm.features import COLUMN_SAMPLES, RATE_HZ
from hsm.native_rate import filtered
from hsm.pipeline import HSM, Answer, Question, RivalAnswer, Stopwatch, at_native_rate, refuse_silence
from hsm.reading import Recording, open_sound, survey
from hsm.records import Depth, Instruction, SeparationOptions
from hsm.resampling import resample
from hsm.windows import Window, columns_of, windows
from hsm.writing import FORMATS, SoundWriter

Decided = TypeVar("Decided", Answer, RivalAnswer)
DEPTHS: tuple[Depth, ...] = get_args(Depth)


@dataclass(frozen=True)
class FileProgress:
    """How far a file is.

    Args:
        done_s: seconds of sound whose mask is decided.
        duration_s: seconds of sound in all.
        elapsed_s: seconds of work since the first of them.
    """

    done_s: float
    duration_s: float
    elapsed_s: float

    @property
    def left_s(self) -> float:
        """Seconds of work that are left, at the speed so far."""
        return self.elapsed_s * (self.duration_s / self.done_s - 1)


@dataclass(frozen=True)
class FileSeparation:
    """What became of a file.

    Args:
        target: the file that was written.
        residual: the other one; mixture minus target, but for the codec renderer.
        instruction: as understood.
        rate_hz: of the input and of both files.
        channels: the same.
        length_samples: the same.
        depth: of both files: "PCM_16", "PCM_24", "PCM_32" or "FLOAT".
        clipped_samples: samples beyond full scale that an integer depth could not hold.
        timings_s: seconds spent in each stage.
        warning: what to know of an input that seems cut off, else "".
    """

    target: Path
    residual: Path
    instruction: Instruction
    rate_hz: int
    channels: int
    length_samples: int
    depth: str
    clipped_samples: int
    timings_s: dict[str, float]
    warning: str = ""


def depth_for(recording: Recording, depth: Depth, ending: str) -> str:
    """The depth that an output is written in.

    Args:
        recording: the input.
        depth: "same" as the input's, or one of the others.
        ending: of the output, ".wav" or ".flac".

    Returns:
        The input's depth for "same": 16 bits for 8 and 16, 24 for 24, 32 for 32, floating point for
        floating point and for what was coded with loss. A .flac holds no more than 24 bits.
    """
    if depth not in DEPTHS:
        raise HSMError(f"depth: got {depth!r}; wanted one of {', '.join(DEPTHS)}.")
    if depth != "same":
        return depth
    return recording.depth if recording.depth in FORMATS.get(ending, (recording.depth,)) else "PCM_24"


def separate_file(
    model: HSM,
    path: str | Path,
    instruction: str | Instruction,
    target_path: str | Path,
    residual_path: str | Path,
    options: SeparationOptions | None = None,
    progress: Callable[[FileProgress], None] | None = None,
    depth: Depth = "same",
) -> FileSeparation:
    """Separate a file of any length; memory does not grow with it.

    Args:
        model: does the work.
        path: the mixture, in any format of `hsm.reading`.
        instruction: free text, or an `Instruction`.
        target_path: where the target goes; the ending, .wav or .flac, decides the format.
        residual_path: where mixture minus target goes; of the codec renderer, see `Separation`.
        options: choices of this call.
        progress: called after every window; an exception it raises stops the work.
        depth: bit depth of the outputs; "same" keeps the input's, see `depth_for`.

    Returns:
        What was written. Rate, channels and length are the input's to the sample. Until both files are
        whole they have other names; where the work stops, nothing is left of them.

    Raises:
        HSMError: a file that cannot be read or is silent, an instruction that names no sound, or an
            output that cannot be written.
    """
    options = options or SeparationOptions()
    target_path, residual_path = Path(target_path), Path(residual_path)
    recording = open_sound(path)
    chosen = depth_for(recording, depth, target_path.suffix.lower())
    extent = survey(recording)
    rate_hz, length = recording.rate_hz, extent.length_samples
    refuse_silence(extent.peak, length / rate_hz, Path(path).name)

    model.check_renderer(options)
    watch = Stopwatch()
    with watch.stage("parse"):
        question = model.question(instruction, options)
    columns = columns_of(length, rate_hz)

    def cut() -> Iterator[tuple[Window, torch.Tensor]]:
        mono = (torch.from_numpy(block).mean(0) for block in recording.blocks())
        return windows(resample(mono, rate_hz, RATE_HZ), columns)

    def told(found: Iterable[Decided]) -> Iterator[Decided]:
        return _told(found, columns, length / rate_hz, progress)

    def answers(asked: Question) -> Iterator[Answer]:
        heard = model.hear(cut(), columns, watch)
        return told(model.answer(heard, columns, asked, options, watch))

    form = (rate_hz, recording.channels, chosen, length)
    with SoundWriter(target_path, *form) as target, SoundWriter(residual_path, *form) as residual:
        if options.renderer == "codec":  # each drawn in a run of its own; they do not add up to the mixture
            for writer, asked in ((target, question), (residual, model.opposite(question))):
                pieces = model.regenerate(answers(asked), options, watch)
                for piece in at_native_rate(pieces, rate_hz, length):
                    writer.write(piece.expand(recording.channels, -1).numpy())
        else:
            rival = options.renderer == "audiosep"
            found = told(model.rival_answer(cut(), columns, question, watch)) if rival else answers(question)
            masks = (answer.mask for answer in found)
            sound = (torch.from_numpy(block) for block in recording.blocks())
            for mixture, kept in filtered(sound, masks, rate_hz, length):
                written = target.write(kept.numpy())
                residual.write(mixture.numpy() - written)
    return FileSeparation(
        target_path,
        residual_path,
        question.instruction,
        rate_hz,
        recording.channels,
        length,
        chosen,
        target.clipped + residual.clipped,
        watch.timings_s,
        extent.warning,
    )


def _told(
    answers: Iterable[Decided],
    columns: int,
    duration_s: float,
    progress: Callable[[FileProgress], None] | None,
) -> Iterator[Decided]:
    """The answers, with progress told on the way."""
    begin = time.perf_counter()
    for answer in answers:
        if progress is not None:
            done_s = min(answer.window.next_first(columns) * COLUMN_SAMPLES / RATE_HZ, duration_s)
            progress(FileProgress(done_s, duration_s, time.perf_counter() - begin))
        yield answer

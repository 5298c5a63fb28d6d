"""One separation, step by step: how far it is, twice a second, until the result."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from hsm.pipeline import HSM, STAGES, Progress
from hsm.records import Audio, Separation
from hsm.several import Wish, ask_several

Result = TypeVar("Result")

TICK_S = 0.5
LISTENING = 0.4  # about this share of a separation's time goes into listening


class Cancelled(RuntimeError):
    """Ends the thread of a request that nobody waits for any more."""


@dataclass(frozen=True)
class Step:
    """How far a separation is.

    Args:
        stage: the one that runs.
        seconds: of each stage so far.
        fraction: share of this stage that is done.
    """

    stage: str
    seconds: dict[str, float]
    fraction: float

    @property
    def share(self) -> float:
        """Share of the whole that is done: windows are first all listened to, then all separated."""
        listening = STAGES.index(self.stage) < STAGES.index("global separation")
        return LISTENING * self.fraction if listening else LISTENING + (1 - LISTENING) * self.fraction


def separate_in_steps(model: HSM, clip: Audio, wishes: Sequence[Wish]) -> Iterator[Step | tuple[Separation, ...]]:
    """Separate one recording as each wish says, and tell how far it is until the results are there."""
    return in_steps(lambda progress: ask_several(model, clip, wishes, progress))


def in_steps(work: Callable[[Progress], Result]) -> Iterator[Step | Result]:
    """Work in a thread and tell how far it is, at every stage and twice a second, until the result.

    Closing the iterator ends the thread at its next stage.
    """
    began: queue.SimpleQueue[tuple[str, float] | None] = queue.SimpleQueue()
    given_up = threading.Event()

    def progress(stage: str, fraction: float) -> None:
        if given_up.is_set():
            raise Cancelled
        began.put((stage, fraction))

    worker = ThreadPoolExecutor(1, thread_name_prefix="separation")
    try:
        result = worker.submit(work, progress)
        result.add_done_callback(lambda _: began.put(None))
        seconds: dict[str, float] = {}
        stage, fraction, since = STAGES[0], 0.0, time.perf_counter()
        told, told_at = "", since
        while True:
            try:
                news = began.get(timeout=TICK_S)
            except queue.Empty:
                news = (stage, fraction)
            now = time.perf_counter()
            seconds[stage] = seconds.get(stage, 0.0) + now - since
            since = now
            if news is None:
                break
            stage, fraction = news
            if stage == told and now - told_at < TICK_S:
                continue  # a browser that draws every answer would fall behind
            told, told_at = stage, now
            yield Step(stage, {**seconds, stage: seconds.get(stage, 0.0)}, fraction)
        done = result.result()
        yield Step(stage, seconds, 1.0)  # the last stage's seconds are whole only now
        yield done
    finally:
        given_up.set()
        worker.shutdown(wait=False)

"""How far a separation is: its stages, their seconds, and work in a thread that tells them until the result."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

Result = TypeVar("Result")
Progress = Callable[[str, float], None]

STAGES = ("parse", "local features", "global features", "global separation", "local separation", "render")
TICK_S = 0.5
ENCODING = 0.4  # about this share of a separation's time goes into encoding the mixture


class Cancelled(RuntimeError):
    """Ends the thread of a request that nobody waits for any more."""


class Stopwatch:
    """Reports stages as they begin, with the share of their work that is done, and adds up their seconds."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.progress = progress
        self.timings_s: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, fraction: float = 0.0) -> Iterator[None]:
        """Time one of `STAGES`."""
        if self.progress is not None:
            self.progress(name, fraction)
        begin = time.perf_counter()
        yield
        self.timings_s[name] = self.timings_s.get(name, 0.0) + time.perf_counter() - begin


@dataclass(frozen=True)
class Step:
    """How far a separation is: the stage that runs, the share of it that is done, the seconds of each so far."""

    stage: str
    seconds: dict[str, float]
    fraction: float

    @property
    def share(self) -> float:
        """Share of the whole that is done: windows are first all encoded, then all separated."""
        encoding = STAGES.index(self.stage) < STAGES.index("global separation")
        return ENCODING * self.fraction if encoding else ENCODING + (1 - ENCODING) * self.fraction


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

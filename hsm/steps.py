"""One separation, step by step: how far it is, a few times a second, until the result."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hsm.pipeline import HSM, STAGES
from hsm.records import Audio, Instruction, Separation, SeparationOptions

TICK_S = 0.25
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


def separate_in_steps(
    model: HSM, clip: Audio, wish: str | Instruction, options: SeparationOptions
) -> Iterator[Step | Separation]:
    """Separate in a thread and tell how far it is, a few times a second, until the result.

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
        result = worker.submit(model.separate, clip, wish, options, progress=progress)
        result.add_done_callback(lambda _: began.put(None))
        seconds: dict[str, float] = {}
        stage, fraction, since = STAGES[0], 0.0, time.perf_counter()
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
            yield Step(stage, {**seconds, stage: seconds.get(stage, 0.0)}, fraction)
        yield result.result()
    finally:
        given_up.set()
        worker.shutdown(wait=False)

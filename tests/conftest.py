"""What all tests share: one thread, no network, a tiny model and sounds made on the spot."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before transformers is imported: no test waits for a network

import numpy as np
import pytest
import torch

from hsm import HSM, Audio

torch.set_num_threads(1)  # networks this small only lose time with more

MakeSound = Callable[..., Audio]


@pytest.fixture(scope="session")
def tiny_model() -> HSM:
    """A random tiny model; nobody may change it."""
    return HSM.tiny()


@pytest.fixture(scope="session")
def make_sound() -> MakeSound:
    """Noise that comes and goes, different in every channel: (duration_s, rate_hz, channels, seed)."""

    def make(duration_s: float, rate_hz: int = 16_000, channels: int = 1, seed: int = 0) -> Audio:
        times = np.arange(round(duration_s * rate_hz)) / rate_hz
        noise = np.random.default_rng(seed).standard_normal((channels, times.size))
        return Audio((0.1 * noise * (1.2 + np.sin(5 * times))).astype(np.float32), rate_hz)

    return make


class Stub(ThreadingHTTPServer):
    """A language model's endpoint: answers with `content` after `delay_s`, and keeps what it was sent."""

    content: str = ""
    status = 200
    delay_s = 0.0
    seen: dict[str, object]
    raw: bytes | None = None


class Handler(BaseHTTPRequestHandler):
    server: Stub

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen = {"path": self.path, "key": self.headers.get("Authorization"), "body": body}
        time.sleep(self.server.delay_s)
        answer = self.server.raw or json.dumps({"choices": [{"message": {"content": self.server.content}}]}).encode()
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def stub() -> Iterator[Stub]:
    server = Stub(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()

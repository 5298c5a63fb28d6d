"""On a Space that lends a GPU for seconds: with the real package, against a stand-in for the service that lends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from tiny_weights import save_tiny

pytest.importorskip("gradio")
if not any((Path(folder) / "spaces" / "zero").is_dir() for folder in sys.path):  # its import would change this process
    pytest.skip("the package spaces is not installed", allow_module_level=True)

# No GPU is there, so what the worker does to get hold of it is left out; all else is the package's own.
BEFORE = """
import sys, json
import spaces
import spaces.zero.torch as zero
zero.init = lambda uuid: None
zero.move = lambda callback=None: None
import numpy as np
from hsm import HSM, Audio, SeparationOptions
"""


class Lender(ThreadingHTTPServer):
    """Grants every request and keeps what was asked."""

    asked: list[tuple[str, dict[str, list[str]]]]


class Handler(BaseHTTPRequestHandler):
    server: Lender

    def do_POST(self) -> None:
        url = urlparse(self.path)
        self.server.asked.append((url.path, parse_qs(url.query)))
        granted = {"idle": False, "nvidiaIndex": 0, "nvidiaUUID": "none", "allowToken": "token"}
        body = json.dumps(granted if url.path == "/schedule" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def lender() -> Iterator[Lender]:
    server = Lender(("127.0.0.1", 0), Handler)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def on_a_space(code: str, lender: Lender, tmp_path: Path, *arguments: str) -> str:
    """Run code as a Space with ZeroGPU would; returns what it printed last."""
    (tmp_path / "cgroup").write_text("0::/kubepods/pod/container\n")
    told = {
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": f"http://127.0.0.1:{lender.server_address[1]}",
        "ZEROGPU_PROC_SELF_CGROUP_PATH": str(tmp_path / "cgroup"),
        "ZEROGPU_OFFLOAD_DIR": str(tmp_path / "tensors"),
        "HOME": str(tmp_path),
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    command = [sys.executable, "-c", BEFORE + code, *arguments]
    done = subprocess.run(command, env={**os.environ, **told}, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout.splitlines()[-1]


def test_a_separation_runs_in_the_lent_process_and_comes_back_step_by_step(lender: Lender, tmp_path: Path) -> None:
    code = """
from hsm.page.handlers import Handlers
model = HSM.load(sys.argv[1], "cpu")
handlers = Handlers(model)
clip = Audio(0.1 * np.random.default_rng(0).standard_normal((2, 44_100)), 44_100)
requests = [("extract the rain", SeparationOptions()), ("remove the dog", SeparationOptions())]
*steps, found = handlers.steps(clip, requests)
here = [model.separate(clip, *request) for request in requests]
same = [float(np.abs(a.target.samples - b.target.samples).max()) for a, b in zip(found, here)]
print(json.dumps([len(steps), [type(step).__name__ for step in steps[:1]], same]))
"""
    count, kinds, difference = json.loads(on_a_space(code, lender, tmp_path, str(save_tiny(tmp_path / "weights"))))
    assert count > 4
    assert kinds == ["Step"]
    assert max(difference) < 1e-5
    paths = [path for path, _ in lender.asked]
    assert paths[:2] == ["/schedule", "/allow"]
    assert paths[-1] == "/release"
    assert 10 <= int(lender.asked[0][1]["durationSeconds"][0]) <= 60  # in proportion to a second of sound


def test_the_model_is_loaded_for_a_gpu_that_is_not_there_yet(lender: Lender, tmp_path: Path) -> None:
    code = """
model = HSM.load(sys.argv[1], "cuda")
print(json.dumps([model.model.device.type, sorted({p.device.type for p in model.model.h2.parameters()})]))
"""
    device, where = json.loads(on_a_space(code, lender, tmp_path, str(save_tiny(tmp_path / "weights"))))
    assert (device, where) == ("cuda", ["cuda"])
    assert lender.asked == []

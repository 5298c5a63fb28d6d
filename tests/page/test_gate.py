"""Attacks on a server of our own: every limit holds over HTTP, and users do not see one another's load."""

from __future__ import annotations

import gzip
import os
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file

from hsm import HSM, Audio
from hsm.page import gate
from hsm.page.files import upload_root
from hsm.page.layout import build_page, launch_options
from hsm.page.requests import LONGEST_DESCRIPTION

PATIENCE_S = 30.0


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for something that happens elsewhere."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = 0.1 * np.random.default_rng(0).normal(size=16_000)
    return Audio(samples.astype(np.float32), 16_000).save(tmp_path_factory.mktemp("sounds") / "noise.wav")


def upload(url: str, sound: Path) -> str:
    """Where the server put a file."""
    with sound.open("rb") as file:
        answer = httpx.post(f"{url}gradio_api/upload", files={"files": (sound.name, file)})
    answer.raise_for_status()
    return str(answer.json()[0])


def file_data(path: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def function_of(url: str, api_name: str) -> int:
    """The number of an endpoint's function."""
    found = httpx.get(f"{url}config").json()["dependencies"]
    return int(next(one["id"] for one in found if one["api_name"] == api_name))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "gradio_api/process_recording"),
        ("POST", "gradio_api/component_server"),
        ("POST", "gradio_api/vibe-edit/"),
        ("GET", "gradio_api/proxy=https://example.org"),
        ("GET", "monitoring"),
        ("GET", "monitoring/summary"),
        ("GET", "gradio_api/runs"),
        ("PUT", "gradio_api/upload"),
    ],
)
def test_routes_that_the_page_does_not_use_are_not_there(server: str, method: str, path: str) -> None:
    assert httpx.request(method, f"{server}{path}").status_code == 404


def test_the_servers_own_files_are_not_served(server: str) -> None:
    assets = Path(__file__).resolve().parents[2] / "assets"
    for path in (assets / "make_examples.py", assets / "upload_space.py", assets.parent / "app.py", "/etc/passwd"):
        assert httpx.get(f"{server}gradio_api/file={path}").status_code == 403
    assert httpx.get(f"{server}gradio_api/file={assets / 'examples' / 'rain_dog.flac'}").status_code == 200


@pytest.mark.parametrize("route", ["run", "api"])
def test_no_separation_goes_past_the_queue(server: str, noise: Path, route: str) -> None:
    data = [file_data(upload(server, noise)), "extract the rain", "as understood", ""]
    body = {"data": data, "fn_index": function_of(server, "separate")}
    for name in ("separate", "predict"):
        assert httpx.post(f"{server}gradio_api/{route}/{name}", json=body).status_code == 404


def test_parse_is_answered_without_the_queue(server: str) -> None:
    answer = httpx.post(f"{server}gradio_api/run/parse", json={"data": ["remove the dog"]})
    assert answer.json()["data"][0]["operation"] == "remove"


def test_a_playlist_as_a_live_piece_reads_nothing(server: str, noise: Path, tmp_path: Path) -> None:
    secret = Audio.load(noise).save(tmp_path / "secret.wav")
    playlist = tmp_path / "piece.wav"
    playlist.write_text(f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n")
    found = httpx.get(f"{server}config").json()
    live = next(one for one in found["dependencies"] if any(target[1] == "stream" for target in one["targets"]))
    body = {
        "data": [file_data(upload(server, playlist)), None, "extract the rain", ""],
        "fn_index": live["id"],
        "session_hash": "playlist",
    }
    httpx.post(f"{server}gradio_api/queue/join", json=body).raise_for_status()
    with httpx.stream("GET", f"{server}gradio_api/queue/data?session_hash=playlist", timeout=PATIENCE_S) as answer:
        end = next(line for line in answer.iter_lines() if "process_completed" in line)
    assert '"success":false' in end
    assert "not a sound file" in end
    assert "named_db" not in end


def test_a_live_stream_that_falls_silent_gives_its_place_back(
    server: str, noise: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "QUIET_S", 0.2)
    found = httpx.get(f"{server}config").json()
    live = next(one for one in found["dependencies"] if any(target[1] == "stream" for target in one["targets"]))
    body = {
        "data": [file_data(upload(server, noise)), None, "extract the rain", ""],
        "fn_index": live["id"],
        "session_hash": "silent",
    }
    httpx.post(f"{server}gradio_api/queue/join", json=body).raise_for_status()
    with httpx.stream("GET", f"{server}gradio_api/queue/data?session_hash=silent", timeout=PATIENCE_S) as answer:
        assert any("process_completed" in line for line in answer.iter_lines())


def test_a_form_without_files_or_with_too_many_is_refused_while_it_comes(server: str) -> None:
    url = f"{server}gradio_api/upload"
    large = {"files": (None, b"x" * 2 * gate.LARGEST_FORM_B)}  # no file name: Gradio would hold it in memory
    assert httpx.post(url, files=large).status_code == 413
    many = [("files", (f"{i}.wav", b"x")) for i in range(gate.MOST_FILES + 1)]
    assert httpx.post(url, files=many).status_code == 413
    disguised = (
        b'--x\r\nX: filename="a"\r\nContent-Disposition: form-data; name="files"\r\n\r\n'
        + b"x" * 2 * gate.LARGEST_FORM_B
        + b"\r\n--x--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert httpx.post(url, content=disguised, headers=headers).status_code == 413
    assert not [path for path in upload_root().iterdir() if path.is_file()], "nothing is left of what was refused"


def test_an_upload_above_the_limit_is_refused_and_leaves_nothing(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "LARGEST_FILE_B", 200_000)
    answer = httpx.post(f"{server}gradio_api/upload", files={"files": ("a.wav", b"x" * 400_000)})
    assert answer.status_code == 413
    assert not [path for path in upload_root().iterdir() if path.is_file()]


def test_a_request_of_megabytes_is_refused_before_it_is_read(server: str) -> None:
    body = {"data": ["x" * 2 * gate.LARGEST_JSON_B]}
    assert httpx.post(f"{server}gradio_api/run/parse", json=body).status_code == 413


def test_a_description_has_300_characters_at_most(server: str, noise: Path) -> None:
    client = Client(server, verbose=False)
    said = {"audio": handle_file(noise), "instruction": "extract the rain", "operation": "as understood"}
    with pytest.raises(Exception, match="wanted at most 1,000 and 300"):
        client.predict(**said, description="x" * (LONGEST_DESCRIPTION + 1), api_name="/separate")


def test_errors_name_files_without_their_folders(server: str) -> None:
    body = {"data": [file_data("/etc/passwd"), "rain", "as understood", "", "mask"], "session_hash": "curious"}
    answer = httpx.post(f"{server}gradio_api/queue/join", json=body | {"fn_index": function_of(server, "separate")})
    assert answer.status_code == 400
    assert "passwd" in answer.text
    assert "/" not in answer.text.replace("located in", "")


def test_a_fault_of_ours_is_told_in_one_sentence(server: str, noise: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HSM, "separate", lambda *_, **__: 1 / 0)
    with pytest.raises(Exception, match=r"^Something went wrong on the server, and was noted there\."):
        Client(server, verbose=False).predict(handle_file(noise), "rain", "as understood", "", api_name="/separate")


class Held(HSM):
    """A tiny model that tells a stage again and again until it is told to go on."""

    go_on: threading.Event

    @staticmethod
    def make() -> Held:
        held = Held.__new__(Held)
        held.__dict__.update(HSM.tiny().__dict__, go_on=threading.Event(), ended=threading.Event())
        return held

    def separate(self, *given: Any, progress: Any = None, **more: Any) -> Any:  # type: ignore[override]
        try:
            while not self.go_on.wait(0.02):
                progress("parse", 0.0)
            return super().separate(*given, progress=progress, **more)
        finally:
            self.ended.set()


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    model = Held.make()
    blocks = build_page(model)
    _, url, _ = blocks.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    yield url, model
    model.go_on.set()
    blocks.close(verbose=False)


def test_one_users_many_requests_keep_nobody_else_out(held: tuple[str, Held], noise: Path) -> None:
    url, _ = held
    path, number = upload(url, noise), function_of(url, "separate")

    def ask(user: httpx.Client, session: str) -> int:
        body = {"data": [file_data(path), "extract the rain", "as understood", "", "mask"], "fn_index": number}
        return user.post(f"{url}gradio_api/queue/join", json=body | {"session_hash": session}).status_code

    greedy = httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2"))
    one_session = [ask(greedy, "greedy") for _ in range(41)]
    assert one_session == [200] * gate.SESSION_SHARE + [429] * (41 - gate.SESSION_SHARE)
    many_sessions = [ask(greedy, f"greedy {i}") for i in range(41)]
    assert many_sessions.count(200) == gate.ADDRESS_SHARE - gate.SESSION_SHARE
    modest = httpx.Client()
    assert ask(modest, "modest") == 200
    parsed = modest.post(f"{url}gradio_api/run/parse", json={"data": ["remove the dog"]})
    assert parsed.status_code == 200


def test_the_work_of_a_client_that_left_ends(held: tuple[str, Held], noise: Path) -> None:
    url, model = held
    body = {
        "data": [file_data(upload(url, noise)), "extract the rain", "as understood", "", "mask"],
        "fn_index": function_of(url, "separate"),
        "session_hash": "leaving",
    }
    httpx.post(f"{url}gradio_api/queue/join", json=body).raise_for_status()
    with httpx.stream("GET", f"{url}gradio_api/queue/data?session_hash=leaving", timeout=PATIENCE_S) as answer:
        assert any("process_starts" in line for line in answer.iter_lines())
    assert model.ended.wait(PATIENCE_S)


def test_the_whole_upload_folder_is_swept_as_soon_as_a_server_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    monkeypatch.setattr("hsm.page.layout.read_examples", list)  # nothing is separated at the start
    root = upload_root()
    broken_off, earlier, new = root / "tmpabc", root / "0123abcd", root / "4567cdef"
    broken_off.write_bytes(b"x" * 1_000)
    for folder in (earlier, new):
        folder.mkdir()
        (folder / "sound.wav").write_bytes(b"x" * 1_000)
    for path, age_s in ((broken_off, 3_700), (earlier, 3_700), (new, 3_500)):  # the page promises an hour
        os.utime(path, (time.time() - age_s,) * 2)
    build_page(HSM.tiny())
    wait_until(lambda: not broken_off.exists() and not earlier.exists())
    assert new.exists()


def test_a_full_disk_is_told_before_anything_is_sent(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsm.page.files.MOST_STORED_B", 1_000)
    answer = httpx.post(f"{server}gradio_api/upload", files={"files": ("a.wav", b"x")})
    assert answer.status_code == 507
    assert "disk is full" in answer.text


def test_an_upload_that_is_broken_off_leaves_nothing(server: str) -> None:
    def endless() -> Any:
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n' + b"x" * 300_000
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        httpx.post(
            f"{server}gradio_api/upload",
            content=endless(),
            headers={"content-type": "multipart/form-data; boundary=x"},
        )
    wait_until(lambda: not [path for path in upload_root().iterdir() if path.is_file()])


def test_a_result_of_this_server_is_taken_as_the_next_recording(server: str, noise: Path) -> None:
    client = Client(server, verbose=False)
    path = upload(server, noise)
    target, *_ = client.predict(
        {"path": f"{server}gradio_api/file={path}", "meta": {"_type": "gradio.FileData"}},
        "extract the rain",
        "as understood",
        "",
        api_name="/separate",
    )
    assert Audio.load(target).samples.shape == (1, 16_000)


def test_a_sound_on_the_web_is_fetched_up_to_a_size_and_never_unpacked(
    server: str, noise: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = {"/a.wav": noise.read_bytes(), "/large.wav": b"x" * 200_000, "/packed.wav": gzip.compress(bytes(10**7))}

    class Web(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            if self.path == "/packed.wav":
                self.send_header("content-encoding", "gzip")
            self.end_headers()
            self.wfile.write(bodies[self.path])

    async def somewhere(_: str) -> str:
        return "127.0.0.1"

    monkeypatch.setattr("safehttpx.async_validate_url", somewhere)
    monkeypatch.setattr(gate, "LARGEST_TOOL_CALL_B", 100_000)
    web = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    threading.Thread(target=web.serve_forever, daemon=True).start()

    def data(name: str) -> list[Any]:
        sound = file_data(f"http://sounds.example:{web.server_port}/{name}")
        return [sound, "extract the rain", "as understood", "", "mask"]

    client = Client(server, verbose=False)
    assert Audio.load(client.predict(*data("a.wav"), api_name="/separate")[0]).samples.shape == (1, 16_000)
    with pytest.raises(Exception, match="not a sound file"):
        client.predict(*data("packed.wav"), api_name="/separate")
    body = {"data": data("large.wav"), "session_hash": "far", "fn_index": function_of(server, "separate")}
    assert "larger than 0.1 MB" in httpx.post(f"{server}gradio_api/queue/join", json=body).text
    web.shutdown()
    web.server_close()

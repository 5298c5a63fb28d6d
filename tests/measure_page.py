"""How fast the page is, whether answers belong to their askers, and what it looks like; prints figures.

    python -m tests.measure_page speed        # click to first sound, to all pictures; page until usable
    python -m tests.measure_page users     # two browsers at once, 30 runs each
    python -m tests.measure_page clients      # 20 API clients at once, and the server's memory after them
    python -m tests.measure_page screenshot   # writes assets/screenshot.webp
    python -m tests.measure_page screenshots  # desktop and phone, light and dark, into a folder

Each starts a server of its own with the bundled weights and stops it. The exit status is 1 where an
answer is wrong or a limit is missed.
"""

from __future__ import annotations

import argparse
import itertools
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from hsm import Audio

ROOT = Path(__file__).resolve().parent.parent
LIMITS_S = {"page usable": 3.0, "first sound": 3.0, "all pictures": 6.0}
CLIP_S = 10.0
PATIENCE_MS = 60_000
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
LEAST_GROWTH_MB = 64  # what an allocator may keep; more in each round is a leak


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """A running page: its address and the process that serves it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "app.py", "--port", str(port)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        while True:
            assert process.poll() is None, "the server ended; run `python app.py` to see why"
            try:
                urllib.request.urlopen(url).close()
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def browser() -> Iterator[Any]:
    """A Chromium of the machine."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        executable = shutil.which("chromium") or shutil.which("google-chrome")
        chromium = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


def open_page(chromium: Any, url: str, **look: Any) -> Any:
    """A fresh user."""
    page = chromium.new_context(**({"viewport": DESK} | look)).new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(url)
    page.wait_for_selector("#separate")
    return page


def upload(page: Any, path: Path) -> None:
    """Bring a recording, in the place of the one before."""
    if page.locator("#recording audio").count():
        page.locator("#recording").get_by_role("button", name="Clear").click()
    page.locator("#recording input[type=file]").set_input_files(str(path))
    page.wait_for_selector("#recording audio", state="attached")


def noise(folder: Path, name: str, duration_s: float, seed: int) -> Path:
    """A recording of a known length."""
    samples = 0.1 * np.random.default_rng(seed).normal(size=round(duration_s * 16_000))
    return Audio(samples.astype(np.float32), 16_000).save(folder / f"{name}.wav")


def ask(page: Any, instruction: str) -> None:
    """Type an instruction and click."""
    page.locator("#instruction textarea").fill(instruction)
    page.click("#separate")


def speed(runs: int, folder: Path) -> bool:
    """Times of one user on a machine that does nothing else."""
    example = Audio.load(ROOT / "assets" / "examples" / "rain_dog.flac")
    length = round(CLIP_S * example.rate_hz)
    samples = np.concatenate([example.samples, example.samples], axis=1)[:, :length]
    clip = Audio(samples, example.rate_hz).save(folder / "clip.wav")
    times: dict[str, list[float]] = {name: [] for name in LIMITS_S}
    with server() as (url, _), browser() as chromium:
        for _ in range(runs + 1):  # the first one warms up
            begin = time.perf_counter()
            page = open_page(chromium, url)
            times["page usable"].append(time.perf_counter() - begin)
            upload(page, clip)
            page.locator("#instruction textarea").fill("remove the dog barking")
            page.wait_for_selector("#understood .operation")
            begin = time.perf_counter()
            page.click("#separate")
            page.locator(".player .subject", has_text="clip.wav").wait_for()
            page.wait_for_selector(".player .play:not([disabled])")
            times["first sound"].append(time.perf_counter() - begin)
            page.wait_for_selector(".earlier li", state="attached")
            page.wait_for_selector(".bank .mark")
            times["all pictures"].append(time.perf_counter() - begin)
            page.context.close()
    for name, limit_s in LIMITS_S.items():
        first, *rest = times[name]
        usual = f"median {median(rest):.2f} s of {runs} (at most {limit_s:.0f} s wanted)"
        print(f"{name}: {usual}; right after start {first:.2f} s")
    return all(median(times[name][1:]) <= limit_s for name, limit_s in LIMITS_S.items())


def users(runs: int, folder: Path) -> bool:
    """Two users at once: does each get what was asked?"""

    def visit(user: int, url: str) -> int:
        right = 0
        draw = random.Random(user)
        with browser() as chromium:
            page = open_page(chromium, url)
            for run in range(runs):
                duration_s = 1.0 + user * 0.5 + 0.1 * draw.randint(0, 4)
                sound = f"bell {user} {run}"
                name = f"user{user}_{run}"
                upload(page, noise(folder, name, duration_s, 1_000 * user + run))
                ask(page, f"extract the {sound}")
                page.wait_for_function(
                    "sound => document.querySelectorAll('.player .name')[1]?.textContent === sound",
                    arg=f"Target: {sound}",
                )
                page.wait_for_selector(".player .play:not([disabled])")
                whole = page.locator(".player .whole").inner_text()
                saved = page.locator(".player .save").first.get_attribute("download")
                right += saved == f"{name}_target.wav" and whole == f"0:{duration_s:04.1f}"
                page.wait_for_function(
                    "sound => document.querySelector('.earlier li')?.textContent.includes(sound)", arg=sound
                )
        return right

    with server() as (url, _), ThreadPoolExecutor(2) as both:
        begin = time.perf_counter()
        right = list(both.map(lambda user: visit(user, url), (1, 2)))
    took = time.perf_counter() - begin
    print(f"two users, {runs} runs each: {right[0]} and {right[1]} answers belong to their asker; {took:.0f} s")
    return right == [runs, runs]


def memory_mb(process: int) -> float:
    """What a process holds in memory."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def is_taken_in(job: Any) -> bool:
    """Whether the server has taken a job in."""
    from gradio_client.utils import Status

    return job.status().code not in (Status.STARTING, Status.JOINING_QUEUE, Status.SENDING_DATA)


def begin_of_work(jobs: list[Any]) -> dict[int, int]:
    """At which look around the server was first seen at work on each job, or done with it."""
    from gradio_client.utils import Status

    begun: dict[int, int] = {}
    for look in itertools.count():
        for i, job in enumerate(jobs):
            if is_taken_in(job) and job.status().code != Status.IN_QUEUE:
                begun.setdefault(i, look)
        if len(begun) == len(jobs):
            break
        time.sleep(0.005)
    return begun


def clients(rounds: int, folder: Path, count: int = 20) -> bool:
    """Many programs at once: is each served, in order, and is memory flat?"""
    from gradio_client import Client, handle_file

    good, held = True, []
    files = [noise(folder, f"client{i}", 2.0 + 0.1 * i, i) for i in range(count)]
    with server() as (url, process), ThreadPoolExecutor(count) as together:
        askers = list(together.map(lambda _: Client(url, verbose=False), range(count)))
        for number in range(rounds):
            begin = time.perf_counter()
            jobs = []
            for i, asker in enumerate(askers):
                request = {"audio": handle_file(str(files[i])), "instruction": f"extract the bell {i}"}
                jobs.append(asker.submit(**request, api_name="/separate"))
                while not is_taken_in(jobs[-1]):  # so that their order is known
                    time.sleep(0.005)
            begun = begin_of_work(jobs)
            right = 0
            for i, job in enumerate(jobs):
                target, _, record = job.result()
                right += (
                    record["instruction"]["description"] == f"bell {i}"
                    and abs(Audio.load(target).duration_s - (2.0 + 0.1 * i)) < 1e-3
                )
            in_order = all(begun[i] <= begun[i + 1] for i in range(count - 1))
            held.append(memory_mb(process))
            took = time.perf_counter() - begin
            figures = f"{right} of {count} right, in order: {in_order}, {took:.0f} s, {held[-1]:.0f} MB"
            print(f"round {number + 1}: {figures}")
            good &= right == count and in_order
    growth = held[-1] - held[min(1, rounds - 1)]
    print(f"memory after the second round and after the last: {growth:+.0f} MB")
    return good and growth <= LEAST_GROWTH_MB


def take_picture(page: Any, path: Path, whole: bool) -> None:
    """Separate the first example and take a picture when all is there."""
    page.locator("button.example").first.click()
    page.wait_for_selector(".earlier li", state="attached")
    page.wait_for_selector(".bank .mark")
    page.wait_for_function("() => document.querySelector('.player .map canvas').width > 10")
    page.wait_for_selector("#recording audio", state="attached")
    page.wait_for_function("() => getComputedStyle(document.querySelector('#player')).opacity === '1'")
    page.screenshot(path=path, full_page=whole)


def screenshot(_: int, folder: Path) -> bool:
    """The README's picture."""
    from PIL import Image

    with server() as (url, _process), browser() as chromium:
        page = open_page(chromium, url, viewport=DESK)
        take_picture(page, folder / "page.png", False)
    path = ROOT / "assets" / "screenshot.webp"
    Image.open(folder / "page.png").save(path, quality=80, method=6)
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
    return True


def screenshots(_: int, folder: Path) -> bool:
    """The whole page as users see it."""
    kept = Path(tempfile.mkdtemp(prefix="screenshots-"))
    with server() as (url, _process), browser() as chromium:
        for size, viewport in (("desktop", DESK), ("phone", PHONE)):
            for scheme in ("light", "dark"):
                page = open_page(chromium, url, viewport=viewport, color_scheme=scheme)
                take_picture(page, kept / f"{size}_{scheme}.png", True)
                page.context.close()
    print(*sorted(kept.iterdir()), sep="\n")
    return True


MEASURES = {"speed": (speed, 5), "users": (users, 30), "clients": (clients, 4)}
PICTURES = {"screenshot": (screenshot, 1), "screenshots": (screenshots, 1)}


def main() -> int:
    """Measure one thing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*MEASURES, *PICTURES])
    parser.add_argument("--runs", type=int, help="of the page, of each user, or rounds of clients")
    chosen = parser.parse_args()
    measure, usual = (MEASURES | PICTURES)[chosen.what]
    with tempfile.TemporaryDirectory() as folder:
        return 0 if measure(chosen.runs or usual, Path(folder)) else 1


if __name__ == "__main__":
    raise SystemExit(main())

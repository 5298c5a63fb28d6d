"""The page in a real browser: an example is clicked, sound and pictures arrive, mistakes are explained."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import app
from hsm import HSM, Audio
from hsm.pipeline import STAGES

PATIENCE_MS = 40_000
PLACES = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing(what: str) -> None:
    """Leave the test out, except where it must not be left out."""
    if os.environ.get("CI"):
        pytest.fail(f"{what}; CI must run the browser tests")
    pytest.skip(what)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        missing("playwright is not installed: pip install playwright")
    found = [place for place in PLACES if Path(place).is_file()]
    executable = found[0] if found else shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        missing("no Chromium found: install chromium, for example with apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    blocks = app.build_app(HSM.tiny())
    _, address, _ = blocks.launch(prevent_thread_lock=True, quiet=True, **app.launch_options())
    yield address
    blocks.close(verbose=False)


@pytest.fixture
def page(browser, url: str, request: pytest.FixtureRequest) -> Iterator[object]:
    """A fresh visitor; faults on the page's console fail the test."""
    look = getattr(request, "param", {"viewport": {"width": 1280, "height": 900}})
    context = browser.new_context(**look)
    visitor = context.new_page()
    visitor.set_default_timeout(PATIENCE_MS)
    faults: list[str] = []
    visitor.on("pageerror", lambda fault: faults.append(str(fault)))
    visitor.goto(url)
    visitor.wait_for_selector("#separate")
    yield visitor
    context.close()
    assert not faults


def choose_first_example(page) -> None:
    if not app.read_examples():
        missing("assets/examples.json lists no examples")
    page.locator("button.example").first.click()


def wait_until_shown(page, selector: str) -> None:
    """Wait until a picture is in the page and has really been drawn."""
    page.wait_for_selector(selector, state="attached")
    page.locator(selector).scroll_into_view_if_needed()
    page.wait_for_function(
        "selector => { const image = document.querySelector(selector);"
        " return image.complete && image.naturalWidth > 400; }",
        arg=selector,
    )


PHONE_AT_NIGHT = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
DESK = {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"}


@pytest.mark.parametrize("page", [DESK, PHONE_AT_NIGHT], indirect=True, ids=["desk", "phone"])
def test_an_example_gives_two_sounds_and_three_pictures(page) -> None:
    choose_first_example(page)
    for name in ("target", "residual"):
        page.wait_for_selector(f"#{name} audio", state="attached")
        page.wait_for_function(  # the player shows a length only after it has decoded the sound
            "name => /[1-9]/.test(document.querySelector(`#${name} #duration`)?.innerText ?? '')", arg=name
        )
    for name in ("attention", "spectrograms", "bank"):
        wait_until_shown(page, f"#{name} img")
        assert len(page.locator(f"#{name} img").get_attribute("alt")) > 60
    assert page.locator("#report li.done").count() == len(STAGES)
    assert page.locator("#understood .operation").inner_text() in ("Extract", "Remove")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_an_empty_instruction_is_explained_and_nothing_is_lost(page, tmp_path: Path) -> None:
    samples = 0.1 * np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    page.locator("#recording input[type=file]").set_input_files(str(Audio(samples, 16_000).save(tmp_path / "mine.wav")))
    page.wait_for_selector("#recording audio", state="attached")
    page.click("#separate")
    page.get_by_text("Say what to do with the sound").wait_for()
    assert page.locator("#recording audio").count() > 0

    page.locator("#instruction textarea").fill("extract the rain")
    page.locator("#instruction textarea").press("Enter")
    page.wait_for_selector("#target audio", state="attached")


def test_a_missing_sound_is_explained_and_the_instruction_stays(page) -> None:
    page.locator("#instruction textarea").fill("remove the dog barking")
    page.wait_for_selector("#understood [data-operation=remove]")
    page.click("#separate")
    page.get_by_text("Upload or record a sound first").wait_for()
    assert page.locator("#instruction textarea").input_value() == "remove the dog barking"


def test_every_control_has_a_name_for_screen_readers(page) -> None:
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('main button, main input, main textarea')]
            .filter(e => e.offsetParent !== null && e.type !== 'file')
            .filter(e => !(e.innerText.trim() || e.ariaLabel || e.title || e.labels?.length))
            .map(e => e.outerHTML.slice(0, 120))"""
    )
    assert nameless == []

"""The page in a real browser: sound and pictures arrive, the player plays, mistakes are explained."""

from __future__ import annotations

import base64
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from coded_files import coded

from hsm import HSM, Audio
from hsm.events import Event
from hsm.page.layout import build_page, launch_options, read_examples
from hsm.page.requests import AS_UNDERSTOOD, TEXT_ALONE
from hsm.progress import STAGES

PATIENCE_MS = 120_000
PLACES = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",  # the microphone is there, allowed, and beeps once a second
    "--use-fake-device-for-media-stream",
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
    blocks = build_page(HSM.tiny())
    _, address, _ = blocks.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    yield address
    blocks.close(verbose=False)


@pytest.fixture
def page(browser, url: str, request: pytest.FixtureRequest) -> Iterator[object]:
    """A fresh user; faults on the page's console fail the test."""
    look = getattr(request, "param", {"viewport": {"width": 1280, "height": 900}})
    context = browser.new_context(**look)
    user = context.new_page()
    user.set_default_timeout(PATIENCE_MS)
    faults: list[str] = []
    user.on("pageerror", lambda fault: faults.append(str(fault)))
    user.goto(url)
    user.wait_for_selector("#separate")
    yield user
    context.close()
    assert not faults


def choose_first_example(page) -> None:
    if not read_examples():
        missing("assets/examples.json lists no examples")
    page.locator("button.example").first.click()


PHONE_AT_NIGHT = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
DESK = {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"}


def wait_until_playable(page, title: str) -> None:
    """Wait until the result with a title is there, its sounds are decoded and its spectrograms are drawn."""
    page.locator(".player .subject", has_text=title).wait_for()
    page.wait_for_selector(".player .play:not([disabled])")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.player .lane canvas')]"
        ".every(canvas => canvas.width > 50 && canvas.height === 128)"
    )


def upload_noise(page, folder: Path, duration_s: float = 3.0) -> None:
    """Noise of one channel with an RMS of 0.1 as the recording."""
    noise = 0.1 * np.random.default_rng(0).normal(size=int(16_000 * duration_s))
    samples = np.convolve(noise, np.full(4, 0.5), mode="same")  # a browser's resampling takes the highest tones away
    if page.locator("#recording audio").count():
        page.locator("#recording").get_by_role("button", name="Clear").click()
    page.locator("#recording input[type=file]").set_input_files(str(Audio(samples, 16_000).save(folder / "mine.wav")))
    page.wait_for_selector("#recording audio", state="attached")


def separate_noise(page, folder: Path, duration_s: float = 3.0, instruction: str = "remove the rain") -> None:
    """Ask for something in noise."""
    upload_noise(page, folder, duration_s)
    page.locator("#instruction textarea").fill(instruction)
    page.locator("#instruction textarea").press("Enter")
    wait_until_playable(page, f"mine.wav: {instruction}")


def wait_for_the_end(page) -> None:
    """Wait until the last answer of a run is there: the user's list has it."""
    page.wait_for_selector(".earlier li", state="attached")


SHIFTS = """
window.shift = 0;
new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
  if (!entry.hadRecentInput) window.shift += entry.value;
})).observe({ type: "layout-shift", buffered: true });
"""


@pytest.mark.parametrize("look", [DESK, PHONE_AT_NIGHT], ids=["desk", "phone"])
def test_the_page_opens_with_a_result_in_sight_and_an_example_takes_its_place(browser, url: str, look) -> None:
    user = browser.new_context(**look).new_page()
    user.set_default_timeout(PATIENCE_MS)
    user.add_init_script(SHIFTS)
    user.goto(url)
    example = read_examples()[0]
    wait_until_playable(user, example["title"])
    assert user.get_by_text("An example, separated when this server started").is_visible()
    assert user.evaluate("document.querySelector('.player .play').getBoundingClientRect().bottom < innerHeight")
    user.wait_for_function("() => document.querySelectorAll('.bank .mark').length === 4")

    choose_first_example(user)
    wait_until_playable(user, f"{Path(example['file']).name}: {example['instruction']}")
    wait_for_the_end(user)
    assert not user.get_by_text("An example, separated").is_visible()
    assert user.locator("#report li.done").count() == len(STAGES)
    assert user.locator("#understood .operation").inner_text() in ("Extract", "Remove")
    assert len(user.locator(".player canvas").first.get_attribute("aria-label")) > 60
    assert len(user.locator(".bank svg").get_attribute("aria-label")) > 60
    assert user.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert user.evaluate("window.shift") < 0.1
    user.context.close()


@pytest.mark.parametrize("width", [320, 1_024, 1_440])
def test_an_examples_title_is_one_line_and_all_of_it_bold(page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    lines = page.evaluate(
        """() => [...document.querySelectorAll("button.example")].map((card) => {
          const words = document.createTreeWalker(card, NodeFilter.SHOW_TEXT), title = document.createRange();
          while (!words.nextNode().data.trim());
          title.setStart(words.currentNode, words.currentNode.data.search(/\\S/));
          title.setEnd(words.currentNode, words.currentNode.data.trimEnd().lastIndexOf("\\n"));
          return title.getClientRects().length;
        })"""
    )
    assert lines == [1] * len(read_examples())


def test_pictures_follow_a_switch_of_the_theme(page) -> None:
    page.wait_for_selector(".bank .way")
    colour = "selector => getComputedStyle(document.querySelector(selector)).backgroundColor"
    before = [page.evaluate(colour, selector) for selector in (".bank svg", ".player")]
    page.evaluate("document.body.classList.toggle('dark')")
    after = [page.evaluate(colour, selector) for selector in (".bank svg", ".player")]
    assert not set(before) & set(after)


def test_a_new_instruction_clears_corrections_and_what_is_understood_is_shown(page) -> None:
    page.locator("#instruction textarea").fill("remove the dog")
    page.wait_for_selector("#understood [data-operation=remove]")
    page.get_by_role("button", name="Correct how it is understood").click()
    page.get_by_label("extract", exact=True).check()
    page.locator("#description textarea").fill("rain")
    page.wait_for_selector("#understood [data-operation=extract]")
    page.wait_for_function("() => document.querySelector('#understood strong').innerText === 'rain'")
    page.locator("#instruction textarea").fill("remove the bell")
    page.wait_for_selector("#understood [data-operation=remove]")
    page.wait_for_function("() => document.querySelector('#understood strong').innerText === 'bell'")
    assert page.locator("#operation input:checked").get_attribute("value") == AS_UNDERSTOOD
    assert page.locator("#description textarea").input_value() == ""


def test_cancel_is_active_only_while_something_runs(page, tmp_path: Path) -> None:
    assert page.locator("#cancel").is_disabled()
    separate_noise(page, tmp_path, 1.0)
    wait_for_the_end(page)
    page.wait_for_selector("#cancel[disabled]")
    assert page.locator("#report .message").inner_text().startswith("Done in")


def test_another_recording_marks_the_result_as_that_of_the_one_before(page, tmp_path: Path) -> None:
    outdated = page.get_by_text("This belongs to the recording before.")
    separate_noise(page, tmp_path, 1.0)
    assert outdated.is_hidden()
    page.locator("#recording").get_by_role("button", name="Clear").click()
    outdated.wait_for()


def test_a_sound_that_is_not_there_is_told_and_has_no_times(page, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("hsm.page.texts.ABSENT", 1.1)
    separate_noise(page, tmp_path)
    note = page.locator(".player .notes li")
    assert re.fullmatch(
        r"“rain” seems not to be there: what came out of it is \d+ dB below the recording\.", note.inner_text()
    )
    assert page.locator("table.events").count() == 0
    assert page.locator(".player .events button").count() == 0


def test_a_video_is_taken_by_the_dialog_and_when_it_is_dropped(page, tmp_path: Path) -> None:
    video = coded(tmp_path / "film.mp4", "aac", video=True)
    entry = page.locator("#recording input[type=file]")
    page.wait_for_function("() => document.querySelector('#recording input[type=file]').accept.includes('video/*')")
    entry.set_input_files(str(video))
    page.wait_for_selector("#recording audio", state="attached")
    page.locator("#recording").get_by_role("button", name="Clear").click()
    content = base64.b64encode(video.read_bytes()).decode()
    dropped = page.evaluate_handle(
        """content => {
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          const given = new DataTransfer();
          given.items.add(new File([bytes], "film.mp4", { type: "video/mp4" }));
          return given;
        }""",
        content,
    )
    entry.wait_for(state="attached")
    page.locator("#recording .upload-container").dispatch_event("drop", {"dataTransfer": dropped})
    page.wait_for_selector("#recording audio", state="attached")
    page.locator("#instruction textarea").fill("extract the rain")
    page.locator("#instruction textarea").press("Enter")
    wait_until_playable(page, "film.mp4: extract the rain")


def test_hundreds_of_spans_do_not_make_the_page_longer(page, tmp_path: Path, monkeypatch) -> None:
    heights = []
    for count in (1, 250):
        spans = tuple(Event(0.01 * i, 0.01 * i + 0.005, 0.8) for i in range(count))
        monkeypatch.setattr("hsm.page.handlers.heard_events", lambda _, spans=spans: spans)
        separate_noise(page, tmp_path, instruction=f"extract {count} bells")
        page.wait_for_function(f"() => document.querySelectorAll('table.events tbody tr').length === {count}")
        heights.append(page.evaluate("document.documentElement.scrollHeight"))
    assert heights[1] - heights[0] < 300


def test_the_microphone_hears_what_is_there(browser, url: str) -> None:
    user = browser.new_context(**DESK).new_page()
    user.set_default_timeout(PATIENCE_MS)
    user.add_init_script(
        "const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "navigator.mediaDevices.getUserMedia = (asked) => { window.asked = asked; return open(asked); };"
    )
    user.goto(url)
    user.locator("#recording").get_by_role("button", name="Record audio").click()
    user.locator("#recording .record-button").click()
    user.wait_for_function("() => window.asked")
    asked = user.evaluate("window.asked.audio")
    assert [asked[name] for name in ("echoCancellation", "noiseSuppression", "autoGainControl")] == [False] * 3
    user.context.close()


def test_space_plays_wherever_the_focus_is_but_in_a_field(page, tmp_path: Path) -> None:
    separate_noise(page, tmp_path)
    page.locator("#instruction textarea").press(" ")
    assert page.locator(".player.playing").count() == 0
    page.locator("h1").click()
    page.keyboard.press(" ")
    page.wait_for_selector(".player.playing")


# All that goes to the loudspeaker also goes here.
TAP = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to instanceof AudioDestinationNode) {
    window.tap ??= new AnalyserNode(this.context, { fftSize: 32768 });
    connect.call(this, window.tap);
  }
  return connect.call(this, to, ...rest);
};
window.heard = () => {
  const wave = new Float32Array(tap.fftSize);
  tap.getFloatTimeDomainData(wave);
  let quiet = 0, gap = 0;
  wave.forEach((value) => { quiet = Math.abs(value) < 1e-5 ? quiet + 1 : 0; gap = Math.max(gap, quiet); });
  return { rms: Math.hypot(...wave) / Math.sqrt(wave.length), gap_s: gap / tap.context.sampleRate };
};
"""


def listen(user) -> dict[str, float]:
    """What the loudspeaker got in the last 0.7 s, once all of that is younger than the call."""
    now_s = user.evaluate("tap.context.currentTime")
    user.wait_for_function("since => tap.context.currentTime > since + 0.9", arg=now_s)
    return user.evaluate("heard()")


def test_tracks_are_switched_by_keys_without_a_gap_and_at_their_true_level(browser, url: str, tmp_path: Path) -> None:
    user = browser.new_context(**DESK).new_page()
    user.set_default_timeout(PATIENCE_MS)
    user.add_init_script(TAP)
    user.goto(url)
    separate_noise(user, tmp_path)
    lane = user.locator(".player .lane .body").first
    lane.scroll_into_view_if_needed()
    box = lane.bounding_box()
    user.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 20)
    user.mouse.down()
    user.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 20, steps=3)
    user.mouse.up()
    begin_s, end_s = map(float, re.findall(r"\d+\.\d+", user.locator(".player .unloop").inner_text()))
    assert (begin_s, end_s) == pytest.approx((0.3, 2.7), abs=0.03)  # some pixels
    said = re.fullmatch(r"([\d.]+) s · [\d,]+ Hz · (−[\d.]+|below −65) dB", user.inner_text(".player .readout"))
    assert said
    assert float(said[1]) == pytest.approx(2.7, abs=0.03)

    user.keyboard.press(" ")
    levels = {}
    for key in ("2", "3", "1"):
        user.keyboard.press(key)
        heard = listen(user)
        assert heard["gap_s"] < 0.005
        levels[key] = heard["rms"]
    assert levels["1"] == pytest.approx(0.1, rel=0.06)  # the mixture as it was uploaded
    assert 0 < levels["2"] < 0.095
    assert 0 < levels["3"] < 0.095
    assert user.locator(".player.playing").count() == 1, "the loop never ends by itself"

    user.keyboard.press("3")
    user.locator(".player .level input").nth(1).fill("-20")
    assert listen(user)["rms"] == pytest.approx(levels["3"] / 10, rel=0.1)
    user.context.close()


def test_a_span_is_looped_by_its_bar_and_everything_comes_as_one_file(page, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("hsm.page.handlers.heard_events", lambda _: (Event(0.5, 1.25, 0.8),))
    separate_noise(page, tmp_path)
    assert page.locator("table.events tbody tr").inner_text().split() == ["0.50", "1.25", "0.80"]
    page.locator(".player .events button").press("Enter")
    assert page.locator(".player .unloop").inner_text().startswith("Loop 0.50 to 1.25 s")
    page.wait_for_selector(".player.playing")
    assert 0.5 <= float(page.locator(".player .seek").get_attribute("aria-valuenow")) <= 1.3
    page.keyboard.press("Escape")
    assert page.locator(".player .unloop").is_hidden()

    wait_for_the_end(page)
    for _ in range(2):  # and once more: it is made anew
        with page.expect_download() as download:
            page.click("#bundle")
    assert download.value.suggested_filename == "mine.zip"
    download.value.save_as(tmp_path / "all.zip")
    with ZipFile(tmp_path / "all.zip") as bundle:
        assert {"mine_target.flac", "mine_residual.flac", "times.csv", "separation.json"} < set(bundle.namelist())
        assert "0.5,1.25,0.8,rain" in bundle.read("times.csv").decode()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as WAV: Target").click()
    assert download.value.suggested_filename == "mine_target.wav"


def test_a_list_of_sounds_comes_as_stems_with_gains_of_their_own(page, tmp_path: Path) -> None:
    separate_noise(page, tmp_path, 2.0, "dog; rain; rest")
    assert page.locator(".player .lane .name").all_inner_texts() == ["Mixture", "dog", "rain", "The rest"]
    assert page.locator("#understood .operation").inner_text() == "Stems"
    assert page.locator(".player .level input").count() == 3
    page.locator(".player .seek").focus()
    page.keyboard.press("4")
    assert page.locator(".player .track input").nth(3).is_checked()
    page.locator(".player .level input").nth(1).fill("6")
    assert page.locator(".player .level output").nth(1).inner_text() == "+6 dB"
    page.locator(".looks .of").select_option("rain")
    assert page.locator(".player .map canvas").get_attribute("aria-label").startswith("Attention of rain")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as WAV: dog").click()
    assert download.value.suggested_filename == "mine_1_dog.wav"


def test_attention_of_every_layer_and_head_can_be_looked_at(page, tmp_path: Path) -> None:
    separate_noise(page, tmp_path)
    page.wait_for_function("() => document.querySelector('.player .map canvas').width > 10")
    curves = set()
    for layer in ("0", "1"):
        for head in ("0", "1", "2"):
            page.locator(".looks .layer").select_option(layer)
            page.locator(".looks .attending").select_option(head)
            curves.add(page.locator(".attention svg path").get_attribute("d"))
            label = page.locator(".player .map canvas").get_attribute("aria-label")
            assert f"layer {int(layer) + 1} of 2" in label
    assert len(curves) == 6


def test_the_pointer_over_the_map_names_the_clip_and_the_map_stays_put(page, tmp_path: Path) -> None:
    page.wait_for_selector(".bank .mark")
    places = "() => [...document.querySelectorAll('.bank .clips circle')].map(c => c.outerHTML)"
    before = page.evaluate(places)
    separate_noise(page, tmp_path, 1.0, "extract a bell")
    wait_for_the_end(page)
    assert page.evaluate(places) == before
    page.locator(".bank .clips circle").first.hover(force=True)
    assert re.fullmatch(r"\w+ \d+ \(\w+\)", page.locator(".bank .tip").inner_text())


def test_renderers_are_compared_blind_until_one_wants_to_know(page, tmp_path: Path) -> None:
    page.get_by_role("button", name="Compare renderers").click()
    page.get_by_label(TEXT_ALONE).check()
    page.get_by_label("Blind").check()
    separate_noise(page, tmp_path, 1.0)
    names = page.locator(".player .lane .name")
    assert names.all_inner_texts()[:3] == ["Mixture", "A", "B"]
    assert page.locator(".player .compared canvas").first.is_hidden()
    page.get_by_role("button", name="Tell which is which").click()
    assert "Target by text alone" in names.all_inner_texts()
    assert page.locator(".player .compared canvas").first.is_visible()


def test_the_workbench_mixes_and_scores_against_the_truth(page, tmp_path: Path) -> None:
    page.get_by_role("button", name="Workbench").click()
    for name, seed in (("first", 0), ("second", 1)):
        samples = 0.1 * np.random.default_rng(seed).normal(size=16_000).astype(np.float32)
        path = str(Audio(samples, 16_000).save(tmp_path / f"{name}.wav"))
        page.locator(f"#{name} input[type=file]").set_input_files(path)
        page.wait_for_selector(f"#{name} audio", state="attached")
    page.get_by_label("the second sound").check()
    page.click("#mix")
    page.wait_for_selector("#recording audio", state="attached")
    page.locator("#instruction textarea").fill("extract the rain")
    page.locator("#instruction textarea").press("Enter")
    page.locator("table.scores caption", has_text="the second sound").wait_for()
    assert "the second sound" in page.locator("table.scores caption").inner_text()
    rows = page.locator("table.scores tbody th").all_inner_texts()
    assert rows[0] == "mixture, nothing done"
    assert rows[-2:] == ["ideal ratio mask", "the truth itself"]


def test_the_microphone_is_listened_to_live(page) -> None:
    page.locator("#instruction textarea").fill("extract the beep")
    page.get_by_role("button", name="Listen live").click()
    page.locator("#microphone").get_by_role("button", name="Record").click()
    page.wait_for_function("() => /^beep: −\\d+ dB$/.test(document.querySelector('.live .now')?.textContent)")
    shown = "() => document.querySelector('.live .whole').getAttribute('d').split('V').length"
    before = page.evaluate(shown)
    page.wait_for_function(f"before => ({shown})() > before + 6", arg=before)
    page.locator("#microphone").get_by_role("button", name="Stop").first.click()


def test_a_link_with_the_settings_is_copied(page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#instruction textarea").fill("remove the rain")
    page.click("#link")
    page.get_by_role("button", name="Link copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.url
    assert copied.endswith("?instruction=remove+the+rain")


class Slow(HSM):
    """A tiny model that takes its time at every stage until it is told to hurry."""

    hurry: threading.Event

    @staticmethod
    def make() -> Slow:
        slow = Slow.__new__(Slow)
        slow.__dict__.update(HSM.tiny().__dict__, hurry=threading.Event())
        return slow

    def encode(self, audio, progress=None):  # type: ignore[no-untyped-def]
        while not self.hurry.is_set():
            progress("local features", 0.0)  # where a request that was given up ends
            self.hurry.wait(0.1)
        return super().encode(audio, progress)


def test_cancelling_works_at_once_and_who_waits_sees_the_place_in_the_queue(browser, tmp_path: Path) -> None:
    model = Slow.make()
    blocks = build_page(model)
    _, address, _ = blocks.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    users = [browser.new_context(**DESK).new_page() for _ in range(2)]
    for user in users:
        user.set_default_timeout(PATIENCE_MS)
        user.goto(address)
        user.wait_for_selector("#separate")
        choose_first_example(user)
        if user is users[0]:
            user.wait_for_selector("#report [data-state=running]")
    first, second = users
    second.wait_for_function("() => /queue: \\d+\\/\\d+/.test(document.querySelector('#report').innerText)")
    first.click("#cancel")
    first.get_by_text("Cancelled. Sound and instruction are still here.").wait_for()
    assert first.locator("#instruction textarea").input_value()
    second.wait_for_selector("#report [data-state=running]")  # the next one's turn has come
    model.hurry.set()
    wait_until_playable(second, "rain_dog.flac: ")
    assert first.locator("#report [data-state=running]").count() == 0
    assert first.get_by_text("Cancelled.").is_visible()
    for user in users:
        user.context.close()
    blocks.close(verbose=False)


def test_a_user_finds_earlier_instructions_again_and_nobody_else_does(page, browser, url: str, tmp_path) -> None:
    separate_noise(page, tmp_path, 1.0)
    page.wait_for_url("**instruction=remove+the+rain**")
    page.reload()
    page.wait_for_function("() => document.querySelector('#instruction textarea')?.value === 'remove the rain'")
    page.locator("#instruction textarea").fill("")
    page.click(".earlier summary")
    page.get_by_role("button", name="remove the rain").click()
    page.wait_for_function("() => document.querySelector('#instruction textarea').value === 'remove the rain'")

    other = browser.new_context(**DESK).new_page()
    other.set_default_timeout(PATIENCE_MS)
    other.goto(f"{url}?instruction=extract+the+bell&operation=remove")
    other.wait_for_function("() => document.querySelector('#instruction textarea')?.value === 'extract the bell'")
    assert other.locator(".earlier li").count() == 0
    other.get_by_role("button", name="Correct how it is understood").click()
    chosen = other.locator("#operation input:checked")
    assert chosen.get_attribute("value") == "remove"
    other.locator("#instruction textarea").fill("extract the rain")  # what the address said was of another instruction
    other.wait_for_function("() => document.querySelector('#operation input:checked').value === 'as understood'")
    other.context.close()


def test_an_empty_instruction_is_explained_and_nothing_is_lost(page, tmp_path: Path) -> None:
    samples = 0.1 * np.random.default_rng(0).normal(size=16_000).astype(np.float32)
    page.locator("#recording input[type=file]").set_input_files(str(Audio(samples, 16_000).save(tmp_path / "mine.wav")))
    page.wait_for_selector("#recording audio", state="attached")
    page.click("#separate")
    page.get_by_text("Say what to do with the sound").wait_for()
    page.locator("#instruction textarea").fill("please")
    page.click("#separate")
    page.get_by_test_id("toast-text").get_by_text("found no sound to separate in 'please'").wait_for()
    assert not page.get_by_text("Error", exact=True).is_visible()
    page.get_by_text("Not separated. Sound and instruction are still here.").wait_for()
    assert page.locator("#recording audio").count() > 0

    page.locator("#instruction textarea").fill("extract the rain")
    page.locator("#instruction textarea").press("Enter")
    wait_until_playable(page, "mine.wav: extract the rain")


def test_a_missing_sound_is_explained_and_the_instruction_stays(page) -> None:
    page.locator("#instruction textarea").press_sequentially("remove the dog barking")
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

"""The page's handlers and its three endpoints, without a browser."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import gradio as gr
import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

import app
from hsm import HSM, Audio, HSMError, Instruction, Separation, SeparationOptions, steps
from hsm.mixing import mix
from hsm.pipeline import STAGES

NOBODY_WAITS_S = 20.0


@pytest.fixture(scope="module")
def handlers() -> app.Handlers:
    return app.Handlers(HSM.tiny())


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    blocks = app.build_app(HSM.tiny())
    _, url, _ = blocks.launch(prevent_thread_lock=True, quiet=True, **app.launch_options())
    yield url
    blocks.close(verbose=False)


@pytest.fixture(scope="module")
def client(page: str) -> Client:
    return Client(page, verbose=False)


@pytest.fixture
def sound(tmp_path: Path) -> str:
    samples = 0.1 * np.random.default_rng(0).normal(size=(2, 44_100)).astype(np.float32)
    return str(Audio(samples, 44_100).save(tmp_path / "two channels.wav"))


def bad_file(folder: Path, kind: str) -> str | None:
    path = folder / f"{kind}.wav"
    if kind == "nothing":
        return None
    if kind == "text":
        path.write_text("this is not a sound")
    elif kind == "silent":
        soundfile.write(path, np.zeros(8_000), 8_000)
    elif kind == "long":
        soundfile.write(path, np.zeros(int(8_000 * (app.LONGEST_S + 1))), 8_000, subtype="PCM_U8")
    return str(path)


COMPLAINTS = [
    ("nothing", "upload or record"),
    ("text", "not a sound file"),
    ("silent", "silent"),
    ("long", "at most 10"),
]


def test_a_separation_keeps_rate_channels_and_length(handlers: app.Handlers, sound: str) -> None:
    target, residual, data = handlers.separate(sound, "remove the dog barking")
    given = Audio.load(sound)
    for path in (target, residual):
        written = Audio.load(path)
        assert (written.rate_hz, written.samples.shape) == (given.rate_hz, given.samples.shape)
    total = Audio.load(target).samples + Audio.load(residual).samples
    np.testing.assert_allclose(total, given.samples, atol=1e-4)
    assert data["instruction"]["operation"] == "remove"
    assert data["instruction"]["description"] == "dog barking"
    json.dumps(data)


@pytest.mark.parametrize(("kind", "complaint"), COMPLAINTS)
def test_an_unusable_sound_is_refused_with_what_to_do(
    handlers: app.Handlers, tmp_path: Path, kind: str, complaint: str
) -> None:
    with pytest.raises(gr.Error, match=complaint):
        handlers.separate(bad_file(tmp_path, kind), "extract the rain")


def test_an_empty_instruction_is_refused_with_an_example(handlers: app.Handlers, sound: str) -> None:
    with pytest.raises(gr.Error, match="Say what to do"):
        handlers.separate(sound, "  ")


def test_corrections_overrule_the_instruction(handlers: app.Handlers, sound: str) -> None:
    _, _, data = handlers.separate(sound, "remove the dog", "extract", "rain")
    assert (data["instruction"]["operation"], data["instruction"]["description"]) == ("extract", "rain")


def test_a_description_alone_is_enough() -> None:
    wish, options = app.read_wish("", "remove", "rain")
    assert isinstance(wish, Instruction)
    assert (wish.operation, wish.description, options.description) == ("remove", "rain", "rain")


def test_the_validator_points_at_the_field_that_is_wrong(tmp_path: Path, sound: str) -> None:
    assert [v["is_valid"] for v in app.check_request(sound, "rain", app.AS_UNDERSTOOD, "")] == [True] * 4
    assert [v["is_valid"] for v in app.check_request(sound, "", "", "", False)] == [
        True,
        False,
        True,
        True,
        True,
    ]
    text = bad_file(tmp_path, "text")
    assert [v["is_valid"] for v in app.check_request(text, "rain", "", "")] == [False, True, True, True]


def test_every_stage_is_reported_before_the_result(handlers: app.Handlers, sound: str) -> None:
    *reports, result = handlers.steps(Audio.load(sound), "extract the rain", SeparationOptions())
    assert isinstance(result, Separation)
    seen = list(dict.fromkeys(report.stage for report in reports if isinstance(report, steps.Step)))
    assert seen == list(STAGES)


class Patient(HSM):
    """Reports its first stage and then waits to be told to go on."""

    def __init__(self) -> None:
        self.go_on, self.ended = threading.Event(), threading.Event()

    def separate(self, *_: Any, progress: Any = None, **__: Any) -> Separation:  # type: ignore[override]
        try:
            progress(STAGES[0], 0.0)
            assert self.go_on.wait(NOBODY_WAITS_S)
            progress(STAGES[1], 0.5)
            raise AssertionError("this ran on although nobody waited for it")
        finally:
            self.ended.set()


def test_a_request_that_is_given_up_ends_at_its_next_stage(sound: str) -> None:
    model = Patient()
    running = steps.separate_in_steps(model, Audio.load(sound), "rain", SeparationOptions())
    next(running)
    running.close()
    model.go_on.set()
    assert model.ended.wait(NOBODY_WAITS_S)


def test_a_fault_of_ours_is_not_dressed_up_as_the_visitors() -> None:
    with pytest.raises(ZeroDivisionError), app.page_errors():
        _ = 1 / 0
    with pytest.raises(gr.Error, match="&lt;b&gt;"), app.page_errors():
        raise HSMError("<b>.wav is silent")


def test_sound_arrives_before_any_picture(handlers: app.Handlers, sound: str) -> None:
    results = app.Results(*(name for name in app.Results.__dataclass_fields__))  # type: ignore[arg-type]
    run = app.run(handlers, results)
    updates = list(run(sound, "extract the rain", app.AS_UNDERSTOOD, "", False))
    filled = [set(update) for update in updates[1:]]
    first_sound = next(i for i, names in enumerate(filled) if "target" in names)
    pictures = [next(i for i, names in enumerate(filled) if p in names) for p in ("attention", "bank")]
    assert first_sound < min(pictures)
    player = updates[1 + first_sound]["player"]
    assert Path(player["target"]["path"]).name == "two channels_target.wav"
    assert Path(player["levels"]["path"]).stat().st_size == 3 * 100 * 128
    last = updates[-1]
    assert last["earlier"]["instruction"] == "extract the rain"
    with ZipFile(last["bundle"]["value"]) as bundle:
        assert {"two channels_target.wav", "two channels_residual.wav", "times.csv", "attention.png"} < set(
            bundle.namelist()
        )


def test_two_requests_never_share_a_folder() -> None:
    folders = {app.request_folder() for _ in range(20)}
    assert len(folders) == 20
    for folder in folders:
        folder.rmdir()


def test_every_example_is_there_with_its_sources() -> None:
    for example in app.read_examples():
        assert (app.ASSETS / example["file"]).is_file()
        assert example["title"]
        assert example["instruction"]
        assert example["made_with"]
        assert example["sources"]


def test_the_footer_says_what_the_weights_may_be_used_for() -> None:
    assert "non-commercial" in app.footer([])
    assert "Where the examples come from" in app.footer(app.read_examples()) or not app.read_examples()


def test_a_mixture_has_the_snr_asked_for() -> None:
    random = np.random.default_rng(0)
    a = Audio(0.05 * random.normal(size=(2, 16_000)).astype(np.float32), 16_000)
    b = Audio(0.01 * random.normal(size=4_000).astype(np.float32), 8_000)
    mixture = mix(a, b, 6.0)
    noise = mixture.samples - a.samples
    assert mixture.samples.shape == a.samples.shape
    assert 10 * np.log10(np.square(a.samples).mean() / np.square(noise).mean()) == pytest.approx(6.0, abs=0.01)


def test_a_mixture_too_loud_for_a_file_is_brought_down_as_a_whole() -> None:
    tone = np.sin(np.arange(16_000, dtype=np.float32))
    mixture = mix(Audio(tone, 16_000), Audio(tone, 16_000), 0.0)
    assert np.abs(mixture.samples).max() <= 0.981


def test_mixing_refuses_silence_and_absurd_levels() -> None:
    tone, silence = Audio(np.ones(100), 16_000), Audio(np.zeros(100), 16_000)
    with pytest.raises(HSMError, match="second sound is silent"):
        mix(tone, silence, 0.0)
    with pytest.raises(HSMError, match="SNR"):
        mix(tone, tone, 100.0)


def test_the_separate_endpoint_answers_a_program(client: Client, sound: str) -> None:
    target, residual, data = client.predict(
        audio=handle_file(sound), instruction="extract the rain", api_name="/separate"
    )
    assert Audio.load(target).samples.shape == Audio.load(residual).samples.shape == (2, 44_100)
    assert data["instruction"]["operation"] == "extract"


def test_the_parse_endpoint_answers_a_program(client: Client) -> None:
    answer = client.predict(text="get rid of the crying baby", api_name="/parse")
    assert answer["operation"] == "remove"
    assert "baby" in answer["description"]


def test_the_mix_endpoint_answers_a_program(client: Client, sound: str) -> None:
    path = client.predict(first=handle_file(sound), second=handle_file(sound), snr_db=3.0, api_name="/mix")
    assert Audio.load(path).samples.shape == (2, 44_100)


@pytest.mark.parametrize(("kind", "complaint"), [("text", "cannot be read as sound"), ("long", "at most 10")])
def test_a_program_with_an_unusable_file_is_told_so_before_the_queue(
    client: Client, tmp_path: Path, kind: str, complaint: str
) -> None:
    path = bad_file(tmp_path, kind)
    assert path is not None
    with pytest.raises((AppError, ValueError), match=complaint):
        client.predict(audio=handle_file(path), instruction="rain", api_name="/separate")


def test_each_of_many_askers_gets_the_answer_to_their_own_request(page: str, tmp_path: Path) -> None:
    def ask(asker: int) -> tuple[int, str, tuple[int, ...]]:
        samples = 0.1 * np.random.default_rng(asker).normal(size=8_000 + 100 * asker).astype(np.float32)
        path = Audio(samples, 16_000).save(tmp_path / f"{asker}.wav")
        target, _, data = Client(page, verbose=False).predict(
            audio=handle_file(str(path)), instruction=f"extract the bell {asker}", api_name="/separate"
        )
        return asker, data["instruction"]["description"], Audio.load(target).samples.shape

    with ThreadPoolExecutor(4) as askers:
        for asker, description, shape in askers.map(ask, range(6)):
            assert description == f"bell {asker}"
            assert shape == (1, 8_000 + 100 * asker)


def test_the_endpoints_are_three_and_described(client: Client) -> None:
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/separate", "/parse", "/mix"}
    named = [parameter["parameter_name"] for parameter in endpoints["/separate"]["parameters"]]
    assert named == ["audio", "instruction", "operation", "description"]
    assert all(endpoint["description"] for endpoint in endpoints.values())

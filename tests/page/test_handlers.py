"""The page's handlers and its three endpoints, without a browser."""

from __future__ import annotations

import ast
import asyncio
import base64
import io
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY, MagicMock
from urllib.parse import unquote
from zipfile import ZipFile

import gradio as gr
import httpx
import numpy as np
import pytest
import soundfile
from coded_files import coded
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from hsm import HSM, Audio, HSMError, Instruction, Separation, SeparationOptions
from hsm.instruction.language_model import with_language_model
from hsm.mixing import mix
from hsm.page import __main__ as page_command
from hsm.page.files import request_folder
from hsm.page.handlers import CANCELLED, PARTS, Handlers, pack
from hsm.page.layout import ASSETS, build_page, footer, launch_options, read_examples
from hsm.page.requests import (
    AS_UNDERSTOOD,
    LONGEST_PIECE_S,
    LONGEST_S,
    TEXT_ALONE,
    Reference,
    page_errors,
    read_clip,
    read_request,
    renderers_to_compare,
    said_of_renderers,
    validate_request,
)
from hsm.progress import STAGES, Progress, Step, in_steps

NOBODY_WAITS_S = 20.0


@pytest.fixture(scope="module")
def handlers() -> Handlers:
    return Handlers(HSM.tiny())


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    blocks = build_page(HSM.tiny())
    _, url, _ = blocks.launch(prevent_thread_lock=True, quiet=True, **launch_options())
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
        soundfile.write(path, np.zeros(int(8_000 * (LONGEST_S + 1))), 8_000, subtype="PCM_U8")
    return str(path)


COMPLAINTS = [
    ("nothing", "upload or record"),
    ("text", "not a sound file"),
    ("silent", "silent"),
    ("long", "at most 10"),
]


def test_a_separation_keeps_rate_channels_and_length(handlers: Handlers, sound: str) -> None:
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
    handlers: Handlers, tmp_path: Path, kind: str, complaint: str
) -> None:
    with pytest.raises(gr.Error, match=complaint):
        handlers.separate(bad_file(tmp_path, kind), "extract the rain")


def test_an_empty_instruction_is_refused_with_an_example(handlers: Handlers, sound: str) -> None:
    with pytest.raises(gr.Error, match="Say what to do"):
        handlers.separate(sound, "  ")


def test_corrections_overrule_the_instruction(handlers: Handlers, sound: str) -> None:
    _, _, data = handlers.separate(sound, "remove the dog", "extract", "rain")
    assert (data["instruction"]["operation"], data["instruction"]["description"]) == ("extract", "rain")


def test_a_description_alone_is_enough() -> None:
    wish, options = read_request("", "remove", "rain")
    assert isinstance(wish, Instruction)
    assert (wish.operation, wish.description, options.description) == ("remove", "rain", "rain")


def test_the_validator_points_at_the_field_that_is_wrong(tmp_path: Path, sound: str) -> None:
    assert [v["is_valid"] for v in validate_request(sound, "rain", AS_UNDERSTOOD, "")] == [True] * 4
    assert [v["is_valid"] for v in validate_request(sound, "", "", "", False)] == [
        True,
        False,
        True,
        True,
        True,
    ]
    text = bad_file(tmp_path, "text")
    assert [v["is_valid"] for v in validate_request(text, "rain", "", "")] == [False, True, True, True]


def test_every_stage_is_reported_before_the_result(handlers: Handlers, sound: str) -> None:
    *reports, result = handlers.steps(Audio.load(sound), [("extract the rain", SeparationOptions())])
    assert isinstance(result, tuple)
    assert len(result) == 1
    seen = list(dict.fromkeys(report.stage for report in reports if isinstance(report, Step)))
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
    running = in_steps(lambda progress: model.separate(Audio.load(sound), "rain", progress=progress))
    next(running)
    running.close()
    model.go_on.set()
    assert model.ended.wait(NOBODY_WAITS_S)


def test_the_last_stages_seconds_are_told_before_the_result() -> None:
    def work(progress: Progress) -> str:
        progress(STAGES[0], 0.0)
        progress(STAGES[-1], 0.0)
        time.sleep(0.05)
        progress(STAGES[-1], 1.0)
        return "done"

    *_, last, result = in_steps(work)
    assert result == "done"
    assert isinstance(last, Step)
    assert last.stage == STAGES[-1]
    assert last.seconds[STAGES[-1]] > 0
    assert last.share == 1.0


def test_a_fault_of_ours_is_told_without_its_details_and_one_of_theirs_in_full() -> None:
    with pytest.raises(gr.Error, match="Something went wrong on the server"), page_errors():
        _ = 1 / 0
    with pytest.raises(gr.Error, match="&lt;b&gt;"), page_errors():
        raise HSMError("<b>.wav is silent")
    with pytest.raises(gr.Error, match=r"^'clip\.wav is silent'$"), page_errors():
        raise HSMError("/tmp/somewhere/clip.wav is silent")


Given = tuple[str, str, list[str], bool, Reference | None]
PLAIN: Given = (AS_UNDERSTOOD, "", [], False, None)


def run_page(handlers: Handlers, sound: str, text: str, *rest: Any) -> list[dict[str, Any]]:
    """All answers to one click."""
    return list(handlers.run(sound, text, *(rest or PLAIN)))


def path_of(address: str) -> Path:
    return Path(unquote(address.removeprefix("gradio_api/file=")))


def test_sound_arrives_before_any_picture(handlers: Handlers, sound: str) -> None:
    updates = run_page(handlers, sound, "extract the rain")
    first_sound = next(i for i, update in enumerate(updates) if "kept" in update)
    assert "map" not in updates[first_sound]
    player = updates[first_sound]["player"]
    assert [path_of(file).name for file in player["files"]] == ["two channels_target.wav", "two channels_residual.wav"]
    assert path_of(player["levels"]).stat().st_size == 3 * 100 * 128
    assert (
        path_of(player["looks"]).stat().st_size
        == 4 * np.prod([player["attention"][n] for n in ("layers", "heads", "columns")]) * 8
    )
    assert updates[-1]["earlier"]["instruction"] == "extract the rain"
    assert not list(path_of(player["levels"]).parent.glob("*.[zp][in][pg]")), (
        "pictures are made when they are asked for"
    )


def test_cancel_can_be_pressed_only_while_something_runs(handlers: Handlers, sound: str) -> None:
    updates = run_page(handlers, sound, "extract the rain")
    assert updates[0]["cancel"]["interactive"]
    assert not updates[-1]["cancel"]["interactive"]
    assert not handlers.cancel(None), "nothing runs"


def test_a_cancelled_run_ends_and_says_so(handlers: Handlers, sound: str) -> None:
    running = handlers.run(sound, "extract the rain", *PLAIN)
    next(running)
    assert handlers.cancel(None)
    *_, last = running
    assert last["report"] == CANCELLED
    assert not last["cancel"]["interactive"]


def test_the_bundle_is_made_on_demand_with_flac_in_it(handlers: Handlers, sound: str) -> None:
    kept = run_page(handlers, sound, "extract the rain")[-1]["kept"]
    packed = pack(kept)
    with ZipFile(path_of(str(packed["url"]))) as bundle:
        assert set(bundle.namelist()) == {
            "two channels_target.flac", "two channels_residual.flac", "times.csv", "separation.json",
            "attention.png", "global_features.png", "spectrograms.png",
        }  # fmt: skip
        assert bundle.read("attention.png").startswith(b"\x89PNG")
        bundle.extract("two channels_target.flac", kept.folder)
    flac, wav = Audio.load(kept.folder / "two channels_target.flac"), Audio.load(kept.sounds[0])
    np.testing.assert_allclose(flac.samples, wav.samples, atol=2.0**-23)
    shutil.rmtree(kept.folder)
    with pytest.raises(gr.Error, match="deleted after an hour"):
        pack(kept)


def test_the_page_opens_with_an_example_that_is_separated_and_scored() -> None:
    opened = Handlers(HSM.tiny(), example=read_examples()[0]).first.result()
    assert opened["player"]["label"].startswith("An example")
    assert path_of(opened["player"]["files"][0]).is_file()
    assert "table" in opened["scores"]
    assert "earlier" not in opened, "it is nobody's instruction"


def test_a_list_of_sounds_becomes_stems_that_add_up(handlers: Handlers, sound: str) -> None:
    last = run_page(handlers, sound, "dog; rain; rest")[-1]
    player = last["player"]
    assert [track["name"] for track in player["tracks"]] == ["Mixture", "dog", "rain", "The rest"]
    assert player["tracks"][0]["plays"] == [0, 1, 2]
    assert player["attention"]["names"] == ["dog", "rain"]
    stems = [Audio.load(path_of(file)).samples for file in player["files"]]
    np.testing.assert_allclose(np.sum(stems, axis=0), Audio.load(sound).samples, atol=1e-6)
    assert "Stems" in last["understood"]


@pytest.mark.parametrize(
    ("text", "rest", "complaint"),
    [
        ("dog; rain", ("remove", "", [], False, None), "taken apart into stems"),
        ("dog; rain", (AS_UNDERSTOOD, "", [TEXT_ALONE], False, None), "by one renderer"),
        (";", PLAIN, "1 to 6"),
    ],
)
def test_a_list_that_cannot_be_is_explained(
    handlers: Handlers, sound: str, text: str, rest: Given, complaint: str
) -> None:
    with pytest.raises(gr.Error, match=complaint):
        run_page(handlers, sound, text, *rest)


def test_renderers_are_compared_on_one_input_and_blind_hides_which_is_which(handlers: Handlers, sound: str) -> None:
    compared = renderers_to_compare(handlers.model)
    open_, blind = (
        run_page(handlers, sound, "extract rain", AS_UNDERSTOOD, "", compared, hidden, None)[-1]["player"]
        for hidden in (False, True)
    )
    assert [track["plays"] for track in open_["tracks"]] == [[0, 1], [0], [1], [2], [3], [4]]
    names = [track["name"] for track in open_["tracks"]]
    assert names[3:] == ["Target by text alone", "Target by codec", "Target by audiosep"]
    assert not any("letter" in track for track in open_["tracks"])
    assert sorted(track["name"] for track in blind["tracks"]) == sorted(track["name"] for track in open_["tracks"])
    assert [track.get("letter") for track in blind["tracks"]] == [None, "A", "B", "C", "D", None]


def test_the_page_offers_the_rival_with_its_minutes_of_training_and_says_so_where_it_has_no_weights() -> None:
    model = HSM.tiny()
    model.weights_info = {"audiosep": {"trained": {"minutes": 61.7}}}
    assert "audiosep" in renderers_to_compare(model)
    assert "steered by text alone; trained on the same clips for 62 minutes." in said_of_renderers(model)
    model.missing = ("audiosep",)
    assert renderers_to_compare(model) == [TEXT_ALONE, "codec"]
    assert "audiosep is not offered: its weights are not there." in said_of_renderers(model)


def test_a_mixture_of_the_workbench_is_held_against_its_parts(handlers: Handlers, sound: str, tmp_path: Path) -> None:
    tone = np.sin(np.arange(44_100, dtype=np.float32))
    other = str(Audio(tone, 44_100).save(tmp_path / "tone.wav"))
    mixture, truth = handlers.mix_known(sound, other, 3.0, PARTS[0])
    last = run_page(handlers, mixture, "extract the rain", *PLAIN[:-1], truth)[-1]
    scores = last["data"]["scores"]
    assert list(scores) == [
        "mixture, nothing done", "this separation", "with the true global feature", "ideal ratio mask",
        "the truth itself",
    ]  # fmt: skip
    assert scores["mixture, nothing done"]["sdri"] == pytest.approx(0.0)
    assert scores["ideal ratio mask"]["sdri"] > scores["this separation"]["sdri"]
    assert "the first sound" in last["scores"]
    assert "true target" in last["map"]["alt"]
    assert pack(last["kept"])["name"] == "mixture.zip"
    another = run_page(handlers, sound, "extract the rain", *PLAIN[:-1], truth)[-1]
    assert not another["scores"], "another recording was brought since"


def test_of_parts_with_names_the_one_that_the_words_mean_is_the_target(handlers: Handlers) -> None:
    example = read_examples()[0]
    files = tuple(str(ASSETS / source["file"]) for source in example["sources"])
    truth = Reference(files, ("rain", "dog barking"))
    clip = Audio.load(ASSETS / example["file"])
    for text, words in (("extract the dog barking", "dog barking"), ("remove the dog barking", "all but dog barking")):
        separation = handlers.model.separate(clip, text)
        known = handlers.known(clip, separation, truth)
        assert known is not None
        assert known.words == words


def test_the_live_view_tells_where_the_named_sound_is(handlers: Handlers, tmp_path: Path) -> None:
    noise = 3_000 / 32_768 * np.random.default_rng(0).normal(size=8_000)

    def piece() -> str:
        return str(Audio(noise.astype(np.float32), 16_000).save(tmp_path / "piece.wav"))

    heard, value = handlers.hear_live(piece(), None, "extract the rain", "")
    heard, value = handlers.hear_live(piece(), heard, "extract the rain", "")
    assert (tmp_path / "piece.wav").exists(), "pieces of the same content are one file, which the next one needs"
    assert value["sound"] == "rain"
    assert len(value["named_db"]) == len(value["whole_db"]) == len(value["attention"]) == 6
    assert value["whole_db"][-1] == pytest.approx(20 * np.log10(3_000 / 32_768), abs=1.0)
    json.dumps(value)
    for text in ("", "please"):
        assert handlers.hear_live(piece(), heard, text, "") == (heard, {"asks": ANY}), "no error each time"
    noise = np.tile(noise, 2 * int(LONGEST_PIECE_S + 1))
    with pytest.raises(gr.Error, match="too long"):
        handlers.hear_live(piece(), heard, "extract the rain", "")


def test_what_is_shown_as_understood_is_what_will_run(handlers: Handlers, sound: str) -> None:
    for text, operation, description in (
        ("remove the dog", AS_UNDERSTOOD, ""),
        ("remove the dog", "extract", ""),
        ("remove the dog", AS_UNDERSTOOD, "rain"),
        ("remove the dog", "extract", "rain"),
        ("", "remove", "rain"),
        ("dog; rain", AS_UNDERSTOOD, ""),
    ):
        ran = run_page(handlers, sound, text, operation, description, *PLAIN[2:])[-1]["understood"]
        assert handlers.understood(text, operation, description) == ran


def test_what_cannot_be_understood_says_why_and_typing_never_fails(
    handlers: Handlers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert handlers.understood("", AS_UNDERSTOOD, "") == ""
    assert "by one renderer" not in handlers.understood("dog; rain", AS_UNDERSTOOD, "")
    assert "taken apart into stems" in handlers.understood("dog; rain", "remove", "")
    assert "wanted at most" in handlers.understood("x" * 2_000, AS_UNDERSTOOD, "")
    monkeypatch.setattr(HSM, "preview", lambda *_: 1 / 0)
    assert handlers.understood("remove the dog", AS_UNDERSTOOD, "") == ""


def test_what_one_renderer_is_asked_sixty_times_is_done_once(handlers: Handlers, sound: str) -> None:
    last = run_page(handlers, sound, "extract the rain", AS_UNDERSTOOD, "", [TEXT_ALONE] * 60, False, None)[-1]
    assert [track["name"] for track in last["player"]["tracks"]][3:] == ["Target by text alone"]


def test_work_that_keeps_the_others_waiting_for_too_long_is_ended(
    handlers: Handlers, sound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hsm.page.handlers.MOST_WAIT_S", 0.0)
    for ask in (run_page, Handlers.separate):
        with pytest.raises(gr.Error, match="ask for less at once"):
            ask(handlers, sound, "extract the rain")


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("stem", ["鳴" * 80, "a b" * 80, "🐶" * 60], ids=["kanji", "latin", "emoji"])
def test_files_of_a_long_name_in_any_script_have_names_that_a_disk_takes(
    handlers: Handlers, sound: str, stem: str
) -> None:
    path = Path(sound).rename(Path(sound).with_name(f"{stem}.wav"))
    last = run_page(handlers, str(path), f"{'犬' * 90}; {'雨' * 90}; rest")[-1]
    assert [path_of(file).is_file() for file in last["player"]["files"]] == [True] * 3
    assert all(name.startswith(stem[:30]) for name in last["player"]["saved"])
    assert path_of(str(pack(last["kept"])["url"])).is_file()


def test_more_work_than_others_can_wait_for_is_refused(handlers: Handlers, tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, 0.1 * np.sin(np.arange(4_000 * 599)), 4_000)
    for ask in (run_page, Handlers.separate):
        with pytest.raises(gr.Error, match="wanted at most 40 minutes in all"):
            ask(handlers, str(path), "a; b; c; d; e; f")


def test_a_list_of_sounds_and_a_renderer_can_be_asked_of_the_api(handlers: Handlers, sound: str) -> None:
    target, residual, record = handlers.separate(sound, "dog; rain; rest")
    assert [stem["sound"] for stem in record["stems"]] == ["dog", "rain"]
    stems = [Audio.load(stem["file"]["path"]).samples for stem in record["stems"]]
    np.testing.assert_allclose(np.sum(stems, axis=0), Audio.load(target).samples, atol=1e-6)
    total = Audio.load(target).samples + Audio.load(residual).samples
    np.testing.assert_allclose(total, Audio.load(sound).samples, atol=1e-6)
    assert handlers.separate(sound, "rain", renderer="audiosep")[2]["renderer"] == "audiosep"
    with pytest.raises(gr.Error, match="wanted one of mask"):
        handlers.separate(sound, "rain", renderer="magic")


def test_a_space_lends_its_gpu_for_as_long_as_the_work_takes(sound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lent: list[int] = []

    def lend(duration: Any) -> Any:
        return lambda work: lambda *given: lent.append(duration(*given)) or work(*given)

    monkeypatch.setitem(sys.modules, "spaces", SimpleNamespace(GPU=lend))
    handlers, minute = Handlers(HSM.tiny()), Audio(np.ones(60 * 8_000), 8_000)
    *_, found = handlers.steps(Audio.load(sound), [("rain", SeparationOptions())])
    assert found[0].instruction.description == "rain"
    for count, renderer in ((1, "mask"), (3, "audiosep"), (1, "codec")):
        handlers.steps(minute, [("rain", SeparationOptions(renderer=renderer))] * count)  # type: ignore[arg-type]
    assert lent == [15, 21, 33, 75]


def test_two_requests_never_share_a_folder() -> None:
    folders = {request_folder() for _ in range(20)}
    assert len(folders) == 20
    for folder in folders:
        folder.rmdir()


def test_every_example_is_there_with_its_sources() -> None:
    for example in read_examples():
        assert (ASSETS / example["file"]).is_file()
        assert example["title"]
        assert example["instruction"]
        assert example["made_with"]
        assert example["sources"]


def test_the_footer_says_what_the_weights_may_be_used_for() -> None:
    assert "non-commercial" in footer([])
    assert "Where the examples come from" in footer(read_examples()) or not read_examples()


def test_a_mixture_has_the_snr_asked_for() -> None:
    random = np.random.default_rng(0)
    a = Audio(0.05 * random.normal(size=(2, 16_000)).astype(np.float32), 16_000)
    b = Audio(0.01 * random.normal(size=4_000).astype(np.float32), 8_000)
    mixture = mix(a, b, 6.0).mixture
    noise = mixture.samples - a.samples
    assert mixture.samples.shape == a.samples.shape
    assert 10 * np.log10(np.square(a.samples).mean() / np.square(noise).mean()) == pytest.approx(6.0, abs=0.01)


def test_a_mixture_too_loud_for_a_file_is_brought_down_as_a_whole() -> None:
    tone = np.sin(np.arange(16_000, dtype=np.float32))
    known = mix(Audio(tone, 16_000), Audio(tone, 16_000), 0.0)
    assert np.abs(known.mixture.samples).max() <= 0.981
    np.testing.assert_allclose(known.first.samples + known.second.samples, known.mixture.samples, atol=1e-6)


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
    *_, data = client.predict(audio=handle_file(sound), instruction="dog; rain", api_name="/separate")
    assert [Audio.load(stem["file"]).samples.shape for stem in data["stems"]] == [(2, 44_100)] * 2, "files are fetched"


@pytest.mark.parametrize(("name", "video"), [("a.m4a", False), ("a.mp4", True)])
def test_the_separate_endpoint_takes_what_a_phone_records(
    client: Client, tmp_path: Path, name: str, video: bool
) -> None:
    path = coded(tmp_path / name, "aac", video=video)
    target, *_ = client.predict(audio=handle_file(str(path)), instruction="extract the rain", api_name="/separate")
    assert Audio.load(target).samples.shape == Audio.load(path).samples.shape


def test_the_parse_endpoint_answers_a_program(client: Client) -> None:
    answer = client.predict(text="remove the crying baby", api_name="/parse")
    assert answer["operation"] == "remove"
    assert "baby" in answer["description"]


def test_the_mix_endpoint_answers_a_program(client: Client, sound: str) -> None:
    path = client.predict(first=handle_file(sound), second=handle_file(sound), snr_db=3.0, api_name="/mix")
    assert Audio.load(path).samples.shape == (2, 44_100)


def test_of_a_recording_that_was_cut_off_the_user_is_warned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(gr, "Warning", lambda text, **_: said.append(text))
    path = tmp_path / "a.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
    assert read_clip(str(path)).length_samples == 16_000 and not said
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.warns(UserWarning, match="cut off"):
        read_clip(str(path))
    assert len(said) == 1 and said[0].startswith("a.wav: the file seems cut off: it holds 0.62 s of the 1.00 s")


@pytest.mark.parametrize(("kind", "complaint"), [("text", "not a sound file"), ("long", "at most 10")])
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
    assert named == ["audio", "instruction", "operation", "description", "renderer"]
    assert all(endpoint["description"] for endpoint in endpoints.values())


def test_an_assistant_finds_the_endpoints_as_tools_and_can_call_them(page: str) -> None:
    async def ask() -> tuple[set[str], str]:
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client

        async with (
            streamablehttp_client(f"{page}gradio_api/mcp/") as (reader, writer, _),
            ClientSession(reader, writer) as session,
        ):
            await session.initialize()
            tools = await session.list_tools()
            name = next(tool.name for tool in tools.tools if tool.name.endswith("parse"))
            answer = await session.call_tool(name, {"text": "remove the dog barking"})
            said = [one for tool in tools.tools for one in tool.inputSchema["properties"].values()]
            assert all(tool.description for tool in tools.tools)
            assert all(one["description"].endswith(".") for one in said), "whole sentences"
            return {tool.name.split("_")[-1] for tool in tools.tools}, str(answer.content)

    names, answer = asyncio.run(ask())
    assert names == {"separate", "parse", "mix"}
    assert "dog barking" in answer
    assert "remove" in answer


def test_an_assistant_on_the_same_machine_separates_an_upload_and_mixes_the_result(page: str, sound: str) -> None:
    with Path(sound).open("rb") as file:
        uploaded = httpx.post(f"{page}gradio_api/upload", files={"files": ("mine.wav", file)}).json()[0]
    data_url = "data:audio/wav;base64," + base64.b64encode(Path(sound).read_bytes()).decode()

    async def ask() -> tuple[str, str]:
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client

        async with (
            streamablehttp_client(f"{page}gradio_api/mcp/") as (reader, writer, _),
            ClientSession(reader, writer) as session,
        ):
            await session.initialize()
            given = {"audio": f"{page}gradio_api/file={uploaded}", "instruction": "remove the dog"}
            separated = await session.call_tool("separate", given)
            assert not separated.isError, separated.content
            target = next(found[0] for one in separated.content if (found := re.findall(r"http\S+wav", one.text)))
            mixed = await session.call_tool("mix", {"first": target, "second": data_url, "snr_db": 3})
            assert not mixed.isError, mixed.content
            stems = await session.call_tool("separate", given | {"instruction": "dog; rain", "renderer": "audiosep"})
            assert not stems.isError, stems.content
            *_, record = ast.literal_eval(stems.content[0].text)
            assert record["renderer"] == "audiosep"
            for stem in record["stems"]:
                assert soundfile.info(io.BytesIO(httpx.get(stem["file"]["url"]).content)).frames == 44_100
            return target, re.findall(r"http\S+wav", mixed.content[0].text)[0]

    target, mixture = asyncio.run(ask())
    assert "target" in target
    samples, rate_hz = soundfile.read(io.BytesIO(httpx.get(mixture).content))
    assert (samples.shape, rate_hz) == ((44_100, 2), 44_100)


README = (Path(__file__).resolve().parents[2] / "hsm" / "page" / "README.md").read_text(encoding="utf-8")


def snippet(language: str, holding: str) -> str:
    """A code block of the page about services with certain words."""
    return next(text for text in re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL) if holding in text)


def test_the_readmes_python_client_runs(page: str) -> None:
    names: dict[str, Any] = {}
    exec(snippet("python", "gradio_client").replace("http://127.0.0.1:7860", page), names)
    assert Audio.load(names["target"]).duration_s == Audio.load(names["residual"]).duration_s
    assert names["record"]["instruction"]["operation"] == "remove"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_readmes_curl_commands_run(page: str) -> None:
    script = snippet("bash", "curl").replace("http://127.0.0.1:7860/", page)
    answer = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True).stdout
    assert answer.rstrip().splitlines()[-2] == "event: complete"
    assert "dog barking" in answer


def test_the_readmes_address_for_assistants_is_the_pages(page: str) -> None:
    server = json.loads(snippet("json", "mcpServers"))["mcpServers"]["hsm-tss"]["url"]
    assert server == "http://127.0.0.1:7860/gradio_api/mcp/"


def test_the_page_starts_with_the_language_model_it_is_told_and_shows_when_that_fails(
    monkeypatch: pytest.MonkeyPatch, sound: str, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Any] = []
    monkeypatch.setattr(HSM, "load", staticmethod(lambda *given: started.append(given) or MagicMock()))
    monkeypatch.setattr(page_command, "build_page", lambda *_: MagicMock())
    page_command.main(["--language-model", "m", "--language-model-url", "http://127.0.0.1:9"])
    assert started == [(None, "auto", "m", "http://127.0.0.1:9")]
    assert capsys.readouterr().out.startswith("Computing on ")

    model = HSM.tiny()
    model.parser = with_language_model(model.parser, "m", "http://127.0.0.1:9")
    handlers = Handlers(model)
    assert "not used" not in handlers.understood("remove the dog", AS_UNDERSTOOD, ""), (
        "the model is not asked at every key"
    )
    *_, data = handlers.separate(sound, "remove the dog")
    assert "m was not used" in data["instruction"]["note"]
    assert data["instruction"]["description"] == "dog"

"""Pictures show what a separation holds, on the right axes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from hsm.events import Event
from hsm.features import MEL_BANDS, working_gain
from hsm.page.figures import (
    COLUMN_S,
    MOST_COLUMNS,
    RANGE_DB,
    BankMap,
    attention_alt,
    attention_figure,
    attention_grid,
    band_hz,
    band_of,
    bank_alt,
    map_figure,
    map_record,
    marks,
    mel_db,
    save_figure,
    spectrogram_figure,
    track_names,
)
from hsm.page.files import save_bundle
from hsm.page.player import (
    attention_layers,
    colour_table,
    level_bytes,
    player_record,
    separation_tracks,
    spectrogram_alt,
    stem_tracks,
)
from hsm.page.texts import (
    absent_note,
    events_table,
    heard_events,
    report,
    scores_table,
    separation_json,
    understood_line,
)
from hsm.records import Audio, Instruction, Separation, SeparationOptions
from hsm.weights import FeatureBank

WIDTH = 16


def some_bank(clips_each: int = 12, classes: int = 15) -> FeatureBank:
    random = np.random.default_rng(0)
    centres = random.normal(size=(classes, WIDTH))
    features = np.repeat(centres, clips_each, axis=0)
    features = features + 0.1 * random.normal(size=features.shape)
    labels = tuple(f"class_{i // clips_each}" for i in range(len(features)))
    return FeatureBank(features.astype(np.float32), labels, tuple(f"clip {i}" for i in range(len(features))))


def some_separation(duration_s: float = 4.0, rate_hz: int = 16_000, channels: int = 1) -> Separation:
    time_s = np.arange(int(duration_s * rate_hz)) / rate_hz
    tone = np.tile(0.3 * np.sin(2 * np.pi * 1_000 * time_s), (channels, 1)).astype(np.float32)
    noise = 0.03 * np.random.default_rng(1).normal(size=tone.shape).astype(np.float32)
    columns = max(64, -(-int(duration_s * 100) // 16))
    attention = np.zeros((columns, 8), dtype=np.float32)
    attention[5, 3] = 1.0
    feature = np.ones(WIDTH, dtype=np.float32)
    return Separation(
        mixture=Audio(tone + noise, rate_hz),
        target=Audio(tone, rate_hz),
        residual=Audio(noise, rate_hz),
        instruction=Instruction("extract", "whistle"),
        options=SeparationOptions(),
        attention=attention.reshape(-1),
        attention_layers=attention.reshape(1, 1, -1),
        global_mixture=feature,
        global_target=-feature,
        text_embedding=feature,
        mask=np.ones((-(-int(duration_s * 100) // 16) * 5 + 1, 513), dtype=np.float32),
        present=1.0,
    )


def drawn_spectrograms(separation: Separation):
    tracks = separation_tracks(separation, {})
    names = [track.name for track in tracks]
    return spectrogram_figure(names, level_bytes(tracks), separation.mixture.duration_s)


def drawn_attention(*separations: Separation):
    level = level_bytes(separation_tracks(separations[0], {}))[0]
    grids = {f"map {i}": attention_grid(one) for i, one in enumerate(separations)}
    return attention_figure(grids, level, separations[0].mixture.duration_s, 0.01)


def test_a_tone_is_brightest_at_its_own_frequency() -> None:
    separation = some_separation()
    level_db = mel_db(separation.target, 1.0)
    assert abs(level_db.mean(0).argmax() - band_of(1_000)) < 1.0


def test_halving_the_level_lowers_the_spectrogram_by_six_db() -> None:
    target = some_separation().target
    gain = float(working_gain(target.mono_16k))
    half = Audio(target.samples / 2, target.rate_hz)
    assert np.isclose(mel_db(target, gain).max() - mel_db(half, gain).max(), 6.02, atol=0.05)


@pytest.mark.parametrize("duration_s", [0.1, 4.0, 25.0])
def test_spectrograms_share_time_axis_and_colour_scale(duration_s: float) -> None:
    *rows, bar = drawn_spectrograms(some_separation(duration_s)).axes
    assert len(rows) == 3
    for axes in rows:
        assert axes.get_xlim() == pytest.approx((0.0, duration_s))
        assert axes.images[0].get_clim() == rows[0].images[0].get_clim()
        assert axes.get_ylabel() == "Hz"
    assert rows[-1].get_xlabel() == "time (s)"
    assert bar.get_ylabel().startswith("dB")


def test_a_silent_residual_is_drawn_at_the_bottom_of_the_scale() -> None:
    separation = some_separation()
    silence = Audio(np.zeros_like(separation.mixture.samples), separation.mixture.rate_hz)
    silent = replace(separation, residual=silence, target=separation.mixture)
    figure = drawn_spectrograms(silent)
    drawn = np.asarray(figure.axes[2].images[0].get_array())
    assert np.isfinite(drawn).all()
    assert drawn.max() < -50
    assert "everything else, 0%" in spectrogram_alt(separation_tracks(silent, {}))


def test_ten_minutes_are_thinned_to_what_a_picture_can_show() -> None:
    random = np.random.default_rng(0).normal(size=600 * 8_000).astype(np.float32)
    assert len(mel_db(Audio(random, 8_000), 1.0)) <= MOST_COLUMNS


def test_stereo_at_another_rate_is_drawn_too() -> None:
    figure = drawn_spectrograms(some_separation(2.0, rate_hz=44_100, channels=2))
    assert figure.axes[0].get_xlim() == pytest.approx((0.0, 2.0))


@pytest.mark.parametrize(("duration_s", "columns"), [(0.1, 1), (4.0, 25), (10.24, 64), (25.0, 157)])
def test_the_attention_map_ends_with_the_clip(duration_s: float, columns: int) -> None:
    assert attention_grid(some_separation(duration_s)).shape == (columns, 8)


def test_the_attention_curve_peaks_at_the_column_looked_at() -> None:
    curve, overlay = drawn_attention(some_separation()).axes
    heights, edges_s, _ = curve.patches[-1].get_data()
    assert edges_s[heights.argmax()] == pytest.approx(5 * COLUMN_S)
    assert heights.max() == pytest.approx(100.0)
    assert curve.get_xlim() == overlay.get_xlim()
    assert np.asarray(overlay.images[1].get_array()).shape == (8, 25)
    assert "0.9 seconds and in band 4 of 8" in attention_alt(some_separation())


def test_attention_that_is_zero_everywhere_is_still_drawn() -> None:
    separation = some_separation()
    drawn_attention(replace(separation, attention=np.zeros_like(separation.attention))).canvas.draw()


def test_the_bank_map_is_the_same_every_time() -> None:
    first, second = BankMap.fit(some_bank()), BankMap.fit(some_bank())
    np.testing.assert_array_equal(first.positions, second.positions)


def test_a_feature_of_the_bank_is_placed_among_its_own_class() -> None:
    bank = some_bank()
    placed = BankMap.fit(bank)
    for clip in (0, 40, 100):
        own = np.array([name == bank.classes[clip] for name in bank.classes])
        distance = np.linalg.norm(placed.positions - placed.place(bank.features[clip]), axis=1)
        assert own[distance.argmin()]
        assert placed.nearest_class(bank.features[clip]) == bank.classes[clip].replace("_", " ")


def test_a_bank_too_small_for_tsne_is_drawn_all_the_same() -> None:
    bank = some_bank(clips_each=1, classes=3)
    map_figure(map_record(BankMap.fit(bank), marks(some_separation()))).canvas.draw()


def test_the_words_for_the_bank_name_every_mark() -> None:
    words = bank_alt(BankMap.fit(some_bank()), marks(some_separation(), np.ones(WIDTH, dtype=np.float32)))
    assert all(f"{mark} near" in words for mark in ("mixture", "predicted target", "description (text)", "true target"))


def test_the_map_names_clips_and_clusters_where_they_lie(tmp_path: Path) -> None:
    bank_map = BankMap.fit(some_bank())
    record = map_record(bank_map, marks(some_separation()))
    json.dumps(record)
    clips = record["clips"]
    right, top = bank_map.positions[:, 0].argmax(), bank_map.positions[:, 1].argmax()
    assert clips[right][0] == 1.0
    assert clips[top][1] == 0.0, "y goes downwards"
    assert clips[0][3] == "clip 0 (class 0)"
    assert len(record["classes"]) == 12
    for number, (name, x, y) in enumerate(record["classes"]):
        own = np.array([clip[:2] for clip in clips if clip[2] == number])
        assert np.allclose(np.median(own, axis=0), (x, y), atol=1e-3)
        assert all(name in clip[3] for clip in clips if clip[2] == number)
    assert [mark[0] for mark in record["marks"]] == ["mixture", "predicted target", "description (text)"]
    names = [text.get_text() for text in map_figure(record).legends[0].get_texts()]
    assert set(names) == {"other classes", *(name for name, *_ in record["classes"] + record["marks"])}


def test_a_saved_figure_is_a_png(tmp_path: Path) -> None:
    path = save_figure(drawn_attention(some_separation()), tmp_path / "picture.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_track_names_say_which_of_the_two_holds_the_named_sound() -> None:
    separation = some_separation()
    assert track_names(separation) == ("Target: whistle", "Residual: everything else")
    removal = replace(separation, instruction=Instruction("remove", "whistle"))
    assert track_names(removal) == ("Target: without whistle", "Residual: whistle, taken out")


def test_what_was_special_about_an_instruction_is_said_beside_it() -> None:
    line = understood_line(Instruction("remove", "dog", note="The language model <x> was not used."))
    assert "The language model &lt;x&gt; was not used." in line
    assert "note" not in understood_line(Instruction("remove", "dog"))


def test_what_a_user_typed_cannot_become_markup() -> None:
    line = understood_line(Instruction("remove", "<script>alert(1)</script>"))
    assert "<script>" not in line
    assert "&lt;script&gt;" in line


def test_the_report_marks_done_running_and_waiting_stages() -> None:
    running = report("", {"parse": 0.5, "local features": 1.25}, "local features", 0.3)
    states = [part.split('"')[0] for part in running.split('<li class="')[1:]]
    assert states == ["done", "running", *["waiting"] * 4]
    assert "1.25 s" in running
    assert 'value="0.300"' in running
    assert 'data-state="running"' in running
    assert "Listen: 512 local features" in running
    ended = report("done <b>", {"parse": 0.5})
    assert 'data-state="ended"' in ended
    assert "done &lt;b&gt;" in ended


def quiet(separation: Separation, gain: float, operation: str = "extract") -> Separation:
    """The same with a named sound that came out so loud, as a share of the mixture's amplitude."""
    named = Audio(gain * separation.mixture.samples, 16_000)
    rest = Audio((1 - gain) * separation.mixture.samples, 16_000)
    target, residual = (named, rest) if operation == "extract" else (rest, named)
    instruction = Instruction(operation, "whistle")  # type: ignore[arg-type]
    return replace(separation, target=target, residual=residual, instruction=instruction)


@pytest.mark.parametrize("operation", ["extract", "remove"])
def test_of_a_sound_that_is_probably_absent_it_is_said_how_little_came_out(operation: str) -> None:
    some = quiet(some_separation(), 10 ** (-11.7 / 20), operation)
    there, faint = (replace(some, present=present) for present in (0.31, 0.29))
    assert absent_note(there) == ""
    assert separation_json(there)["level_db"] == pytest.approx(-11.7, abs=0.01)
    assert separation_json(there)["present"] == 0.31
    assert "“whistle” seems not to be there: what came out of it is 12 dB below" in absent_note(faint)
    record = separation_json(faint)
    assert record["note"] == absent_note(faint)
    assert record["events"] == []
    assert heard_events(faint) == ()
    table = events_table((), "whistle", absent_note(faint))
    assert "seems not to be there" in table
    assert "<table" not in table


def test_levels_are_bytes_on_the_scale_of_the_mixture() -> None:
    separation = some_separation()
    silence = Audio(np.zeros_like(separation.mixture.samples), separation.mixture.rate_hz)
    levels = level_bytes(separation_tracks(replace(separation, target=separation.mixture, residual=silence), {}))
    assert levels.shape == (3, 400, MEL_BANDS)
    assert levels[0].max() == 255
    np.testing.assert_array_equal(levels[0], levels[1])
    assert levels[2].max() < 40


def test_half_the_amplitude_is_six_db_fewer_in_bytes() -> None:
    separation = some_separation()
    half = Audio(separation.mixture.samples / 2, separation.mixture.rate_hz)
    levels = level_bytes(separation_tracks(replace(separation, target=half), {})).astype(float)
    loud = levels[0] > 200
    np.testing.assert_allclose((levels[0] - levels[1])[loud] * RANGE_DB / 255, 6.02, atol=0.3)


def test_a_band_lies_where_its_frequency_does() -> None:
    for band in (0, 31, MEL_BANDS - 1):
        assert band_of(band_hz(band)) == pytest.approx(band)
    assert colour_table().startswith("000003")
    assert len(colour_table()) == 6 * 256


def test_the_player_gets_plain_data() -> None:
    separation = some_separation()
    others = {"text alone": separation}
    tracks = separation_tracks(separation, others)
    record = player_record(tracks, {"whistle": separation}, {"whistle": (Event(1.0, 2.0, 0.5),)})
    json.dumps(record)
    assert record["spans"] == [{"sound": "whistle", "events": [{"start_s": 1.0, "end_s": 2.0, "confidence": 0.5}]}]
    assert (record["duration_s"], len(record["bands_hz"]), record["attention"]["columns"]) == (4.0, MEL_BANDS, 25)
    assert record["tracks"] == [
        {"name": "Mixture", "plays": [0, 1]},
        {"name": "Target: whistle", "plays": [0]},
        {"name": "Residual: everything else", "plays": [1]},
        {"name": "Target by text alone", "plays": [2]},
    ]
    looks = attention_layers([separation, separation])
    assert looks.shape == (2, 1, 1, 25, 8)
    assert looks[1, 0, 0, 5, 3] == 1.0


def test_stems_and_the_rest_are_tracks_that_the_mixture_plays_together() -> None:
    separation = some_separation()
    tracks = stem_tracks([separation, replace(separation, target=separation.residual)])
    assert [track.plays for track in tracks] == [(0, 1, 2), (0,), (1,), (2,)]
    np.testing.assert_allclose(tracks[-1].sound.samples, 0.0, atol=1e-6)


def test_the_true_attention_is_drawn_beside_the_predicted_one() -> None:
    separation = some_separation()
    figure = drawn_attention(separation, replace(separation, attention=separation.attention[::-1]))
    assert [axes.get_title(loc="left") for axes in figure.axes][1:] == ["Attention: map 0", "Attention: map 1"]


def test_the_scores_show_si_sdri_first_and_escape_what_was_typed() -> None:
    undone = {"si_sdri": 0.0, "sdri": 0.0, "si_sdr": -1.5, "mel_psnr": 20.0, "lsd": 1.5}
    done = {"si_sdri": 10.5, "sdri": 10.234, "si_sdr": 9.0, "mel_psnr": 30.0, "lsd": 0.5}
    table = scores_table({"mixture": undone, "this separation": done}, "<b>dog</b>")
    assert "this separation</th><td>10.50</td><td>10.23</td><td>9.00</td>" in table
    assert "<b>" not in table


def test_the_table_of_spans_escapes_what_was_typed_and_says_when_there_is_none() -> None:
    table = events_table((Event(1.0, 2.5, 0.75),), "<b>dog</b>")
    assert "<td>1.00</td><td>2.50</td><td>0.75</td>" in table
    assert "<b>" not in table
    assert "No span" in events_table((), "dog")


def test_the_bundle_holds_sounds_as_flac_and_files_as_they_are(tmp_path: Path) -> None:
    separation = some_separation()
    target = separation.target.save(tmp_path / "clip_target.wav")
    loud = Audio(10 * separation.target.samples, 16_000).save(tmp_path / "loud.wav")
    times = tmp_path / "times.csv"
    times.write_text("start_s\n")
    with ZipFile(save_bundle([target, loud], [times], tmp_path / "clip.zip")) as bundle:
        assert set(bundle.namelist()) == {"clip_target.flac", "loud.wav", "times.csv"}
        assert bundle.read("loud.wav") == loud.read_bytes(), "a FLAC could not hold its peaks"
        assert len(bundle.read("clip_target.flac")) < target.stat().st_size
    assert {path.name for path in tmp_path.iterdir()} == {"clip_target.wav", "loud.wav", "times.csv", "clip.zip"}

"""A sound that comes and goes is found when it sounds."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from hsm.events import Event, events_csv, find_events, hysteresis, joined
from hsm.records import Audio, Instruction, Operation, Separation, SeparationOptions

RATE_HZ = 16_000
DURATION_S = 8.0
NAMED_HZ, OTHER_HZ = 2_000, 400
NAMED_BINS = slice(96, 160)  # 15.6 Hz each: 1.5 to 2.5 kHz


def on_and_off(spans: list[tuple[float, float]], level: float = 0.2) -> np.ndarray:
    """A tone that sounds in the given spans only."""
    times = np.arange(int(DURATION_S * RATE_HZ)) / RATE_HZ
    on = np.any([(times >= a) & (times < b) for a, b in spans], axis=0) if spans else np.zeros(times.shape)
    return (level * on * np.sin(2 * np.pi * NAMED_HZ * times)).astype(np.float32)


def separated(named: np.ndarray, operation: Operation = "extract", other_level: float = 0.05) -> Separation:
    """What a perfect mask makes of the tone and another one that never pauses."""
    times = np.arange(named.size) / RATE_HZ
    other = (other_level * np.sin(2 * np.pi * OTHER_HZ * times)).astype(np.float32)
    mask = np.zeros((251, 513), dtype=np.float32)
    mask[:, NAMED_BINS] = 1.0
    first, second = (named, other) if operation == "extract" else (other, named)
    feature = np.ones(4, dtype=np.float32)
    return Separation(
        mixture=Audio(named + other, RATE_HZ),
        target=Audio(first, RATE_HZ),
        residual=Audio(second, RATE_HZ),
        instruction=Instruction(operation, "whistle"),
        options=SeparationOptions(),
        attention=np.full(512, 1 / 512, dtype=np.float32),
        attention_layers=np.full((1, 1, 512), 1 / 512, dtype=np.float32),
        global_mixture=feature,
        global_target=feature,
        text_embedding=feature,
        mask=mask if operation == "extract" else 1.0 - mask,
        present=1.0,
    )


@pytest.mark.parametrize("operation", ["extract", "remove"])
def test_a_tone_is_found_when_it_sounds_whatever_is_done_with_it(operation: Operation) -> None:
    spans = [(1.0, 2.5), (4.0, 4.5), (6.0, 8.0)]
    events = find_events(separated(on_and_off(spans), operation))
    assert len(events) == len(spans)
    for event, (start_s, end_s) in zip(events, spans, strict=True):
        assert event.start_s == pytest.approx(start_s, abs=0.12)
        assert event.end_s == pytest.approx(end_s, abs=0.12)
        assert event.confidence > 0.85


def test_a_tone_that_never_pauses_is_one_span_within_the_clip() -> None:
    (event,) = find_events(separated(on_and_off([(0.0, DURATION_S)])))
    assert event.start_s == 0.0
    assert event.end_s == pytest.approx(DURATION_S, abs=0.05)


def test_a_sound_that_the_mask_leaves_nothing_is_nowhere() -> None:
    assert find_events(separated(on_and_off([]))) == ()


def test_confidence_falls_as_the_other_sound_covers_the_named_one() -> None:
    named = on_and_off([(2.0, 4.0)])
    clear, covered = (find_events(separated(named, other_level=level))[0] for level in (0.02, 0.2))
    assert clear.confidence > 0.95 > 0.6 > covered.confidence > 0.4


def test_a_pause_shorter_than_a_breath_belongs_to_the_sound() -> None:
    assert len(find_events(separated(on_and_off([(2.0, 3.0), (3.1, 4.0)])))) == 1


def test_a_stereo_clip_at_another_rate_has_the_same_times() -> None:
    named = separated(on_and_off([(3.0, 5.0)]))
    slow = Audio(np.repeat(np.tile(named.mixture.samples, (2, 1)), 3, axis=1), 3 * RATE_HZ)
    events = find_events(Separation(**{**vars(named), "mixture": slow}))
    (event,) = events
    assert (event.start_s, event.end_s) == pytest.approx((3.0, 5.0), abs=0.12)


def test_a_run_needs_one_frame_above_the_upper_threshold_and_all_above_the_lower() -> None:
    values = np.array([0.2, 0.2, 0.0, 0.2, 0.5, 0.2, 0.0, 0.5])
    assert hysteresis(values, 0.4, 0.1) == [(3, 6), (7, 8)]
    assert hysteresis(np.zeros(3), 0.4, 0.1) == []


def test_only_pauses_shorter_than_the_gap_are_filled() -> None:
    assert joined([(0, 2), (4, 6), (10, 12)], 3) == [(0, 6), (10, 12)]


def test_the_csv_reads_back_what_was_found() -> None:
    text = events_csv({'dog, "barking"': (Event(1.0, 2.5, 0.9), Event(3.0, 4.0, 0.5))})
    rows = list(csv.DictReader(text.splitlines()))
    assert [float(row["start_s"]) for row in rows] == [1.0, 3.0]
    assert rows[0] == {"start_s": "1.0", "end_s": "2.5", "confidence": "0.9", "sound": 'dog, "barking"'}

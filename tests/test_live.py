"""A stream is looked at column by column, whatever the size of its pieces."""

from __future__ import annotations

import numpy as np
import pytest

from hsm import HSM, Audio
from hsm.live import COLUMN_S, FAINTEST_DB, SHOWN_COLUMNS, WINDOW_COLUMNS, Listening, hear_on

MODEL_RATE_HZ = 16_000


def heard_in_pieces(model: HSM, wave: np.ndarray, rate_hz: int, piece: int) -> Listening:
    heard = Listening.begin(rate_hz)
    for begin in range(0, wave.size, piece):
        heard = hear_on(model, heard, Audio(wave[begin : begin + piece], rate_hz), "dog")
    return heard


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
def test_every_whole_column_gets_its_level(tiny_model: HSM, rate_hz: int) -> None:
    wave = np.random.default_rng(0).normal(size=3 * rate_hz).astype(np.float32) * 0.1
    wave[: rate_hz // 2] = 0.0
    heard = heard_in_pieces(tiny_model, wave, rate_hz, rate_hz // 2)
    columns = int(3 / COLUMN_S)
    assert heard.named_db.shape == heard.whole_db.shape == heard.attention.shape == (columns,)
    assert (heard.whole_db[:3] == FAINTEST_DB).all()
    np.testing.assert_allclose(heard.whole_db[4:], -20.0, atol=1.0)
    assert (heard.named_db <= heard.whole_db + 3.0).all()


def test_only_the_last_window_and_the_last_curves_are_kept(tiny_model: HSM) -> None:
    wave = np.random.default_rng(0).normal(size=26 * MODEL_RATE_HZ).astype(np.float32) * 0.1
    heard = heard_in_pieces(tiny_model, wave, MODEL_RATE_HZ, MODEL_RATE_HZ)
    assert heard.named_db.size == SHOWN_COLUMNS
    assert heard.recent.size < (WINDOW_COLUMNS + 1) * COLUMN_S * MODEL_RATE_HZ


def test_a_piece_shorter_than_a_column_waits_and_another_rate_begins_anew(tiny_model: HSM) -> None:
    short = Audio(np.full(1_000, 0.1), MODEL_RATE_HZ)
    heard = hear_on(tiny_model, Listening.begin(MODEL_RATE_HZ), short, "dog")
    assert heard.named_db.size == 0
    assert heard.recent.size == 1_000
    heard = hear_on(tiny_model, heard, Audio(np.full(1_560, 0.1), MODEL_RATE_HZ), "dog")
    assert heard.named_db.size == 1
    assert hear_on(tiny_model, heard, Audio(np.full(100, 0.1), 8_000), "dog").named_db.size == 0


def test_silence_has_no_level_and_even_attention(tiny_model: HSM) -> None:
    heard = hear_on(tiny_model, Listening.begin(MODEL_RATE_HZ), Audio(np.zeros(8_000), MODEL_RATE_HZ), "dog")
    assert (heard.named_db == FAINTEST_DB).all()
    assert (heard.attention == 1.0).all()

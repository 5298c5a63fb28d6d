"""Pictures and sentences about a `Separation`; nothing here computes sound or knows Gradio.

`palette.py` holds the colours and draws no data; `spectrograms.py`, `attention.py` and `bank_map.py` draw
one picture each and say it in words for those who cannot see it; `player.py` holds what the page's player
draws; `report.py` writes the lines beside them; `bundle.py` packs all of it.
"""

from __future__ import annotations

from hsm.views.attention import attention_alt, attention_figure, attention_grid
from hsm.views.bank_map import BankMap, bank_alt, bank_figure, bank_points, marks
from hsm.views.bundle import save_bundle
from hsm.views.palette import DARK, LIGHT, Palette, save_figure
from hsm.views.player import (
    Track,
    attention_layers,
    colour_table,
    level_bytes,
    player_record,
    separation_tracks,
    stem_tracks,
)
from hsm.views.report import (
    empty_report,
    events_table,
    instruction_json,
    scores_table,
    separation_json,
    stage_report,
    understood_line,
)
from hsm.views.spectrograms import mel_db, spectrogram_alt, spectrogram_figure

__all__ = [
    "DARK",
    "LIGHT",
    "BankMap",
    "Palette",
    "Track",
    "attention_alt",
    "attention_figure",
    "attention_grid",
    "attention_layers",
    "bank_alt",
    "bank_figure",
    "bank_points",
    "colour_table",
    "empty_report",
    "events_table",
    "instruction_json",
    "level_bytes",
    "marks",
    "mel_db",
    "player_record",
    "save_bundle",
    "save_figure",
    "scores_table",
    "separation_json",
    "separation_tracks",
    "spectrogram_alt",
    "spectrogram_figure",
    "stage_report",
    "stem_tracks",
    "understood_line",
]

"""Reports: gates, tables, and the command that writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from known_system import KnownSystem, do_nothing, oracle

from hsm.errors import HSMError
from hsm.evaluation.__main__ import main
from hsm.evaluation.report import gates, insert, markdown, readme_table, render, wording_gaps


def report(*mixtures: dict[str, dict[str, float]], features: dict[str, float] | None = None) -> dict[str, Any]:
    """Of mixtures with SDRi by row."""
    return {
        "benchmark": "esc50",
        "about": "pairs",
        "command": "hsm evaluate esc50",
        "mixtures": [
            {"kind": "k", "clips": [f"{i}.wav"], "rows": rows, "features": features or {}}
            for i, rows in enumerate(mixtures)
        ],
    }


def rows(**sdri: float) -> dict[str, dict[str, float]]:
    return {name.replace("_", " "): {"sdri": value, "si_sdri": value - 1} for name, value in sdri.items()}


TRUE, OTHER = "true S, G", "other source's S, G"


def test_a_hierarchy_that_carries_weight_passes_every_gate() -> None:
    inside = {"attention_correlation": 0.5, "cosine_right_to_wrong": 0.6, "nearest_class_right": 1.0}
    mixture = rows(extract=9.5, text_alone=8.0) | {TRUE: {"sdri": 10.0}, OTHER: {"sdri": 4.0}}
    single = report(rows(extract=9.0))
    found = gates(report(mixture, features=inside), single)
    assert [gate.passed for gate in found] == [True] * 6
    assert [gate.figure for gate in found] == pytest.approx([2.0, -4.0, 0.5, 0.6, 0.5, 100.0])


def test_a_hierarchy_that_does_nothing_passes_none() -> None:
    inside = {"attention_correlation": 0.995, "cosine_right_to_wrong": 0.969, "nearest_class_right": 0.0}
    mixture = rows(extract=7.5, text_alone=7.5) | {TRUE: {"sdri": 7.4}, OTHER: {"sdri": 7.7}}
    found = gates(report(mixture, features=inside), report(rows(extract=7.45)))
    assert [gate.passed for gate in found] == [False] * 6


def test_gates_compare_the_same_mixtures_and_say_what_was_not_measured() -> None:
    told = rows(text_alone=5.0) | {TRUE: {"sdri": 7.0}}
    found = gates(report(told, rows(text_alone=50.0)))
    assert found[0].figure == 2.0  # the second mixture was told nothing
    assert [gate.passed for gate in found] == [True, None, None, None, None, None]


def test_the_tables_show_si_sdri_first_then_sdri_mean_and_median() -> None:
    text = markdown(
        report(rows(mixture=0.0, extract=3.0), rows(mixture=0.0, extract=5.0), rows(mixture=0.0, extract=10.0))
    )
    head = next(line for line in text.splitlines() if "SDRi" in line)
    assert head.index("SI-SDRi") < head.index(" SDRi")
    assert "| extract | 3 | 5.00 / 4.00 | 6.00 / 5.00 |" in text
    assert "| mixture | 3 | -1.00 / -1.00 | 0.00 / 0.00 |" in text


def test_told_rows_stand_beside_the_same_mixtures() -> None:
    first = rows(extract=1.0, text_alone=1.0) | {TRUE: {"sdri": 3.0, "si_sdri": 2.0}}
    text = markdown(report(first, rows(extract=9.0, text_alone=9.0)))
    assert "| extract | 2 | 4.00 / 4.00 | 5.00 / 5.00 |" in text
    assert "| extract | 1 | 0.00 / 0.00 | 1.00 / 1.00 |" in text
    assert "| true S, G | 1 | 2.00 / 2.00 | 3.00 / 3.00 |" in text


def test_wordings_are_compared_within_a_kind() -> None:
    found = report(rows(hiss=1.0, static=6.0), rows(voice=4.0, speech=5.5))
    found["mixtures"][1]["kind"] = "speech"
    assert wording_gaps(found).startswith(
        "Best wording over worst, mean SDRi: k 5.00 dB (hiss, static); speech 1.50 dB"
    )


def test_the_readmes_table_holds_ours_and_marks_what_is_another_protocol() -> None:
    text = readme_table({"esc50": report(rows(mixture=0.0, extract=7.5))})
    assert "| **ours** | ESC-50 pairs | 1 | 6.50 | 7.50 | 7.50 |" in text
    assert "| AudioSep, published | another protocol |" in text


def test_the_command_measures_keeps_everything_as_json_and_writes_all_tables(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, page, readme = tmp_path / "reports" / "esc50.json", tmp_path / "RESULTS.md", tmp_path / "README.md"
    asked = ["esc50", "--data", str(manifest), "--limit", "1", "--seed", "3", "--json", str(path)]
    assert main(asked, load=lambda weights, device: KnownSystem(oracle, unable=("example",))) == 0
    printed = capsys.readouterr().out
    found = json.loads(path.read_text(encoding="utf-8"))
    assert (found["data"]["split"], found["data"]["seed"], len(found["mixtures"])) == ("valid", 3, 1)
    assert found["weights"] == {"known": "0" * 64}
    assert found["not_measured"] == {"extract, by example": "it cannot"}
    assert found["mixtures"][0]["rows"]["extract"]["sdri"] > 90
    assert str(manifest.parent) not in path.read_text(encoding="utf-8")
    readme.write_text("<!-- results -->\nold\n<!-- /results -->\n", encoding="utf-8")
    assert main(["tables", "--json", str(path.parent), "--results", str(page), "--readme", str(readme)]) == 0
    written = page.read_text(encoding="utf-8")
    assert printed.strip() in written
    assert "Not measured: extract, by example, because it cannot." in written
    assert "old" not in readme.read_text(encoding="utf-8")
    assert "**ours**" in readme.read_text(encoding="utf-8")


def test_a_report_of_sentences_is_a_table_too(tmp_path: Path) -> None:
    table = {"head": ["understood", "blind"], "rows": [["all", "114/120 = 95.0 %"]]}
    found = {"benchmark": "instructions", "about": "by kind", "command": "hsm evaluate instructions", "table": table}
    (tmp_path / "instructions.json").write_text(json.dumps(found), encoding="utf-8")
    assert render(tmp_path, tmp_path / "RESULTS.md", None) == ["instructions"]
    assert "| all | 114/120 = 95.0 % |" in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")


def test_a_single_stage_measured_beside_it_is_what_the_hierarchy_is_compared_with(
    manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["esc50", "--data", str(manifest), "--limit", "1", "--rows", "extract", "--json"]

    def run(answer: Any, path: str, *more: str) -> str:
        assert main([*asked, str(tmp_path / path), *more], load=lambda weights, device: KnownSystem(answer)) == 0
        return capsys.readouterr().out

    assert "| hierarchy over single stage, dB |  | >= 0.3 | not measured |" in run(oracle, "esc50.json")
    run(do_nothing, "esc50-single.json", "--name", "single")
    assert "| hierarchy over single stage, dB | 100.00 | >= 0.3 | pass |" in run(oracle, "esc50.json")
    assert render(tmp_path, tmp_path / "RESULTS.md", None) == ["esc50-single", "esc50"]
    assert "| >= 0.3 | pass |" in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["esc50"], "--data: got no manifest"),
        (["esc50", "--threads", "0"], "threads: got 0"),
        (["audiosep", "--data", "MANIFEST"], "--list: got no file"),
        (["tables", "--json", "nowhere"], "holds no reports"),
    ],
)
def test_a_command_that_cannot_be_followed_is_told_in_one_line(
    manifest: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main([str(manifest) if a == "MANIFEST" else a for a in arguments]) == 2
    assert message in capsys.readouterr().err


def test_text_goes_between_its_marks_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- a -->\nold\n<!-- /a -->\nafter\n", encoding="utf-8")
    insert(page, "a", "new")
    assert page.read_text(encoding="utf-8") == "before\n<!-- a -->\nnew\n<!-- /a -->\nafter\n"
    with pytest.raises(HSMError, match="lacks the marks"):
        insert(page, "b", "new")

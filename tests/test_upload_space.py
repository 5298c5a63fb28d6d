"""The Space gets what it needs and no more; nothing is uploaded here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("upload_space", ROOT / "assets" / "upload_space.py")
assert spec is not None and spec.loader is not None
upload_space = importlib.util.module_from_spec(spec)
spec.loader.exec_module(upload_space)

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="what git tracks is uploaded")


def test_a_dry_run_lists_files_and_commands_and_runs_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []
    run = upload_space.subprocess.run
    monkeypatch.setattr(upload_space.subprocess, "run", lambda command, **kw: ran.append(command) or run(command, **kw))
    assert upload_space.main(["someone/hsm-tss", "--dry-run", "--hardware", "zero-a10g"]) == 0
    assert [command[0] for command in ran] == ["git"]
    lines = capsys.readouterr().out.splitlines()
    assert {"app.py", "README.md", "requirements.txt", "hsm/separator.py", "assets/style.css"} < set(lines)
    assert not any(line.startswith(("tests/", ".ci/")) for line in lines)
    create, upload = (line for line in lines if line.startswith("+ hf"))
    assert "create someone/hsm-tss --type space --space-sdk gradio" in create
    assert "--flavor zero-a10g" in create
    assert "upload someone/hsm-tss" in upload
    assert "--delete '*'" in upload


def test_a_checkout_that_could_not_run_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(upload_space, "space_files", lambda: [Path("README.md")])
    assert upload_space.main(["someone/hsm-tss"]) == 1
    assert "app.py is missing" in capsys.readouterr().err

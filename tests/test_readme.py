"""The README's examples run as they stand."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from hsm import Audio
from hsm.__main__ import main as hsm_command
from hsm.weights import BUNDLED, MANIFEST

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
needs_weights = pytest.mark.skipif(not (BUNDLED / MANIFEST).exists(), reason="there are no bundled weights")


def blocks(language: str) -> list[str]:
    """Code blocks of one language in order."""
    return [text for name, text in re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL) if name == language]


@pytest.fixture
def copy_of_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the example sounds, to write into."""
    shutil.copytree(ROOT / "assets" / "examples", tmp_path / "assets" / "examples")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@needs_weights
def test_the_python_example_runs_and_its_two_files_add_up_to_the_mixture(copy_of_the_checkout: Path) -> None:
    names: dict[str, object] = {}
    for example in blocks("python")[:2]:
        exec(compile(example, "README.md", "exec"), names)
    mixture = Audio.load("assets/examples/rain_dog.flac")
    target, residual = Audio.load("without_dog.wav"), Audio.load("dog.wav")
    assert target.rate_hz == mixture.rate_hz
    np.testing.assert_allclose(target.samples + residual.samples, mixture.samples, atol=1e-4)


@needs_weights
def test_the_shell_example_runs_and_tells_what_it_wrote(
    copy_of_the_checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = next(b for b in blocks("bash") if b.startswith("python -m hsm separate"))
    assert hsm_command(shlex.split(command)[3:]) == 0
    line = json.loads(capsys.readouterr().out)
    assert (line["operation"], line["description"]) == ("remove", "dog barking")
    assert Path(line["target"]).is_file()
    assert Path(line["residual"]).is_file()


def test_the_front_matter_agrees_with_the_pinned_requirements() -> None:
    front = README.split("---")[1]
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    version = re.search(r"sdk_version: (\S+)", front)
    assert version is not None
    assert re.search(rf"^gradio.*=={re.escape(version[1])}$", pinned, flags=re.MULTILINE)

"""The README's commands run as they stand, those of the other pages can be given, and what they show is there."""

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
from hsm.evaluation.__main__ import parser as evaluate_parser
from hsm.weights import BUNDLED, MANIFEST

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "hsm").glob("*/README.md")), ROOT / "weights" / "README.md"]
needs_weights = pytest.mark.skipif(not (BUNDLED / MANIFEST).exists(), reason="there are no bundled weights")


def blocks(language: str, page: str = README) -> list[str]:
    """Code blocks of one language in order."""
    return [text for name, text in re.findall(r"```(\w*)\n(.*?)```", page, flags=re.DOTALL) if name == language]


def commands(page: str) -> list[list[str]]:
    """Every line of the shell that starts with `hsm`."""
    lines = "\n".join(blocks("bash", page)).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip().startswith("hsm ")]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two of the example sounds, to write into."""
    examples = tmp_path / "assets" / "examples"
    examples.mkdir(parents=True)
    for name in ("rain_dog.flac", "clock_speech.flac"):
        shutil.copy(ROOT / "assets" / "examples" / name, examples)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@needs_weights
def test_the_python_example_runs_and_its_two_files_add_up_to_the_mixture(checkout: Path) -> None:
    (example,) = blocks("python")
    exec(compile(example, "README.md", "exec"), {})
    mixture = Audio.load("assets/examples/rain_dog.flac")
    target, residual = Audio.load("without_dog.wav"), Audio.load("dog.wav")
    assert target.rate_hz == mixture.rate_hz
    np.testing.assert_allclose(target.samples + residual.samples, mixture.samples, atol=1e-4)


@needs_weights
def test_every_shell_command_runs_and_tells_what_it_wrote(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = commands(README)
    assert len(asked) == 2
    for command in asked:
        assert hsm_command(command[1:]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (lines[0]["operation"], lines[0]["description"]) == ("remove", "dog barking")
    assert len(lines) == 3
    assert all(Path(line[part]).is_file() for line in lines for part in ("target", "residual"))


def test_the_installing_commands_name_what_is_there() -> None:
    install = [block.strip() for block in blocks("bash") if block.startswith("pip")]
    assert install == ["pip install -e . && python app.py", 'pip install -e ".[test]" && pytest']
    assert (ROOT / "app.py").is_file()


def test_the_measuring_commands_of_the_pages_can_be_given() -> None:
    asked = [command for page in PAGES for command in commands(page.read_text(encoding="utf-8"))]
    measuring = [command[2:] for command in asked if command[1] == "evaluate"]
    assert len(measuring) >= 5
    for arguments in measuring:
        evaluate_parser().parse_args(arguments)  # exits where it cannot


@pytest.mark.parametrize("command", ["separate", "train", "evaluate", "benchmark"])
def test_the_pages_commands_are_there(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert any(command in words[1:2] for page in PAGES for words in commands(page.read_text(encoding="utf-8")))
    with pytest.raises(SystemExit) as ended:
        hsm_command([command, "--help"])
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_picture_and_link_is_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert re.match(r"https?://", target) or (page.parent / target).exists(), target


def test_the_front_matter_agrees_with_the_pinned_requirements() -> None:
    front = README.split("---")[1]
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    version = re.search(r"sdk_version: (\S+)", front)
    assert version is not None
    assert re.search(rf"^gradio.*=={re.escape(version[1])}$", pinned, flags=re.MULTILINE)

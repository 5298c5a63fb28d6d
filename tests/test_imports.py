"""Imports point one way: from the page down to the networks, never back."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "hsm"
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Names of all modules a file imports, also within functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def below(names: set[str], package: str) -> set[str]:
    return {name for name in names if name == package or name.startswith(package + ".")}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE.parent).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_package_knows_nothing_of_the_page(path: Path) -> None:
    names = imported(path)
    for page in ("gradio", "gradio_client", "spaces", "app", "page"):
        assert not below(names, page)


@pytest.mark.parametrize("path", sorted((PACKAGE / "models").glob("*.py")), ids=name_of)
def test_the_networks_know_only_sizes_constants_and_each_other(path: Path) -> None:
    allowed = ("hsm.models", "hsm.config", "hsm.audio", "hsm.interpolation", "hsm.text")
    names = below(imported(path), "hsm")
    assert names == set().union(*(below(names, package) for package in allowed))


CORE = [p for p in FILES if p.relative_to(PACKAGE).parts[0] not in ("training", "evaluation")]


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_knows_neither_training_nor_evaluation(path: Path) -> None:
    names = imported(path)
    assert not below(names, "hsm.training")
    assert not below(names, "hsm.evaluation")


def test_only_the_pipeline_joins_the_networks() -> None:
    joining = {name_of(p) for p in CORE if below(imported(p), "hsm.models") and p.parent.name != "models"}
    alone = {"hsm/instruction/neural.py", "hsm/benchmarks/audiosep.py"}  # the parser's network, and AudioSep's
    assert joining == {"hsm/pipeline.py", "hsm/competition.py"} | alone


def test_the_walk_sees_the_files() -> None:
    assert {"hsm/pipeline.py", "hsm/models/layers.py", "hsm/training/loop.py"} <= {name_of(p) for p in FILES}
    assert "hsm.models.audiomae" in imported(PACKAGE / "pipeline.py")

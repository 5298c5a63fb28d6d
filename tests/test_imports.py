"""Imports point one way: page, then separator, model, networks, features."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ("app", "hsm.page")
AROUND = (*PAGE, "hsm.training", "hsm.evaluation", "hsm.benchmarks", "hsm.__main__", "hsm.__init__")
LAYERS = (PAGE, ("hsm.separator",), ("hsm.model",), ("hsm.networks",), ("hsm.features",))


def imports() -> dict[str, set[str]]:
    """What each file imports, also within functions."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "app.py", *sorted((ROOT / "hsm").rglob("*.py"))):
        names = found.setdefault(".".join(path.relative_to(ROOT).with_suffix("").parts), set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def test_imports_point_one_way() -> None:
    for module, names in imports().items():
        above: tuple[str, ...] = ()
        for layer in LAYERS:
            if within(module, layer):
                assert not [name for name in names if within(name, above)], f"{module} imports what stands above it"
            above += layer
        if not within(module, AROUND):
            around = (*PAGE, "hsm.training", "hsm.evaluation", "hsm.benchmarks")
            assert not [name for name in names if within(name, around)], f"{module} is core"
        if not within(module, PAGE):
            assert not [name for name in names if within(name, ("gradio", "gradio_client", "spaces"))], module

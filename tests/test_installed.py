"""An installed package, without its checkout, has all that it needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).resolve().parent.parent
FILES = ("pyproject.toml", "setup.py", "requirements.txt", "README.md", "LICENSE")


def test_a_wheel_brings_weights_and_assets_and_finds_them(tmp_path: Path) -> None:
    copy, installed = tmp_path / "checkout", tmp_path / "installed"
    shutil.copytree(ROOT / "hsm", copy / "hsm", ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    for folder in ("weights", "assets"):  # as they are, but for the bytes of what is large
        for path in (ROOT / folder).rglob("*"):
            if path.is_file():
                placed = copy / path.relative_to(ROOT)
                placed.parent.mkdir(parents=True, exist_ok=True)
                placed.write_bytes(path.read_bytes() if path.stat().st_size < 1e5 else b"")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, copy]
    subprocess.run(build, check=True, capture_output=True)
    with ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(installed)
    code = """
import json, sys
sys.path.insert(0, sys.argv[1])
import hsm.page.layout, hsm.weights
print(json.dumps([hsm.__file__, str(hsm.weights.BUNDLED), str(hsm.page.layout.ASSETS)]))
"""
    done = subprocess.run([sys.executable, "-c", code, installed], check=True, capture_output=True, cwd=tmp_path)
    package, weights, assets = (Path(path) for path in json.loads(done.stdout))
    assert package.is_relative_to(installed)
    listed = json.loads((weights / "manifest.json").read_text())["files"]
    assert not [entry["file"] for entry in listed.values() if not (weights / entry["file"]).is_file()]
    assert {path.relative_to(assets) for path in assets.rglob("*.*")} >= {
        path.relative_to(ROOT / "assets") for path in (ROOT / "assets").rglob("*.*") if "__pycache__" not in str(path)
    }

"""Weight files: manifest with checksums, strict loading, saving."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hsm.errors import HSMError

MANIFEST = "manifest.json"


def bundled(name: str) -> Path:
    """A folder beside the package: NAME in a checkout, hsm_NAME where it was installed (see setup.py)."""
    root = Path(__file__).resolve().parent.parent
    installed = root / f"hsm_{name}"
    return installed if installed.is_dir() else root / name


BUNDLED = bundled("weights")


def sha256(path: Path) -> str:
    """Checksum of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class _Undrawn(TorchFunctionMode):
    """Leaves out the functions of `torch.nn.init`."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(function, "__module__", "") == "torch.nn.init":  # a getter has none
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)


@contextmanager
def without_weights() -> Iterator[None]:
    """Networks made inside take no memory and no time, and wait for `load_into`.

    On the meta device; drawing there imports much of torch that nothing else needs, so nothing is drawn.
    """
    with torch.device("meta"), _Undrawn():
        yield


@dataclass(frozen=True)
class WeightFolder:
    """A folder of weights: manifest.json beside safetensors files."""

    path: Path
    manifest: dict[str, Any]

    @staticmethod
    def open(path: str | Path) -> WeightFolder:
        """Read a folder's manifest; `HSMError` where it is missing or damaged. Files are checked when loaded."""
        path = Path(path)
        file = path / MANIFEST
        if not file.is_file():
            raise HSMError(f"weights: there is no {file}; wanted a folder with {MANIFEST} and safetensors files.")
        try:
            manifest = json.loads(file.read_text())
            texts = [entry[key] for entry in manifest["files"].values() for key in ("file", "sha256")]
            if not isinstance(manifest["config"], dict) or not all(isinstance(text, str) for text in texts):
                raise TypeError("config must be an object, file and sha256 of every entry text")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HSMError(f"weights: {file} is damaged ({error!r}); fetch the folder again.") from error
        return WeightFolder(path, manifest)

    def __contains__(self, name: str) -> bool:
        return name in self.manifest["files"]

    def state(self, name: str, half: bool = False) -> dict[str, Tensor]:
        """Tensors of one file after its checksum was compared: float32, or as the file has them where `half`.

        Raises:
            HSMError: naming the file that is missing, damaged or not in the manifest.
        """
        if name not in self:
            raise HSMError(
                f"weights: {self.path / MANIFEST} lists no {name!r}, only {', '.join(sorted(self.manifest['files']))}."
            )
        entry = self.manifest["files"][name]
        path = self.path / entry["file"]
        if not path.is_file():
            raise HSMError(f"weights: {path} is missing; fetch the folder again (with Git LFS where it is used).")
        found = sha256(path)
        if found != entry["sha256"]:
            raise HSMError(
                f"weights: {path} has sha256 {found[:12]}…, the manifest says {entry['sha256'][:12]}…; "
                "the file is damaged or of another version, fetch it again."
            )
        try:
            state = {
                key: value.clone() if half or not value.is_floating_point() else value.float()
                for key, value in load_file(path).items()  # maps the file, which may be replaced later
            }
        except SafetensorError as error:
            raise HSMError(f"weights: {path} is not a safetensors file ({error}); fetch it again.") from error
        if not all(bool(value.isfinite().all()) for value in state.values()):
            raise HSMError(f"weights: {path} holds values that are no numbers (NaN or infinity); fetch it again.")
        return state

    def load_into(self, name: str, module: nn.Module, half: bool = False) -> None:
        """Load one file into a network, strictly; it takes over the tensors. `HSMError` also where they do not fit."""
        try:
            module.load_state_dict(self.state(name, half), assign=True)
        except RuntimeError as error:
            raise HSMError(
                f"weights: {self.path / self.manifest['files'][name]['file']} does not fit the network {name!r} "
                f"of configuration {self.manifest['config']['name']!r}: {error}"
            ) from error

    def metadata(self, name: str) -> dict[str, str]:
        """Text stored inside a file beside its tensors."""
        self.state(name)  # checks the file
        with safe_open(self.path / self.manifest["files"][name]["file"], framework="pt") as file:
            return dict(file.metadata() or {})


def save_weights(
    folder: str | Path,
    name: str,
    state: dict[str, Tensor],
    config: dict[str, Any],
    trained: dict[str, Any],
    licence: str,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write one network as fp16 safetensors and enter it into the manifest.

    Args:
        folder: made if missing; other files' entries are kept.
        name: such as "mask"; the file is NAME.safetensors.
        state: tensors; floating ones are stored as fp16.
        config: the configuration as a dict; must be that of the files already there.
        trained: how it came about (stage, steps, minutes, data, commit, time).
        licence: of the weights, entered into the manifest.
        metadata: text to store inside the file.

    Returns:
        The file's path.

    Raises:
        HSMError: a folder with weights of another configuration, or a value fp16 cannot hold.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {"config": config, "files": {}}
    if (folder / MANIFEST).exists():
        manifest = WeightFolder.open(folder).manifest
        if manifest["config"] != config:
            raise HSMError(
                f"weights: {folder} holds configuration {manifest['config'].get('name')!r} with other sizes "
                f"than {config.get('name')!r}; choose another folder."
            )
    half = {k: (v.half() if v.is_floating_point() else v).cpu().contiguous() for k, v in state.items()}
    for key, value in half.items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            raise HSMError(f"weights: {name}.{key} has values that fp16 cannot hold; was the training stable?")
    manifest["licence"] = licence
    path = folder / f"{name}.safetensors"
    save_file(half, path, metadata=metadata)
    path.chmod(0o644)  # safetensors writes for its owner alone
    manifest["files"][name] = {
        "file": path.name,
        "sha256": sha256(path),
        "bytes": path.stat().st_size,
        "trained": trained,
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    return path


@dataclass(frozen=True, eq=False)
class FeatureBank:
    """Global features with their classes.

    Args:
        features: (N, D) float32.
        classes: N class names.
        names: N clip descriptions to show.
    """

    features: np.ndarray
    classes: tuple[str, ...]
    names: tuple[str, ...]

    @staticmethod
    def load(folder: WeightFolder) -> FeatureBank:
        """Read the bank of a weight folder; `HSMError` where it is missing or damaged."""
        state, text = folder.state("bank"), folder.metadata("bank")
        return FeatureBank(
            features=state["features"].numpy(),
            classes=tuple(json.loads(text["classes"])),
            names=tuple(json.loads(text["names"])),
        )

    def to_state(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Tensors and text for `hsm.weights.save_weights`."""
        text = {"classes": json.dumps(self.classes), "names": json.dumps(self.names)}
        return {"features": torch.from_numpy(self.features)}, text

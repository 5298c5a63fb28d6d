"""A weight folder with a random tiny model, for commands that run in processes of their own."""

from __future__ import annotations

from pathlib import Path

from hsm import HSM
from hsm.weights import save_weights


def save_tiny(folder: Path) -> Path:
    """Write the folder; returns it."""
    model = HSM.tiny()
    config = model.config.to_dict()
    for name, module in model.model.modules.items():
        save_weights(folder, name, module.state_dict(), config, {"stage": "none"}, "for tests")
    state, text = model.bank.to_state()
    save_weights(folder, "bank", state, config, {"stage": "none"}, "for tests", text)
    return folder

"""Serve the page: load the model, build, launch."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from hsm import HSM
from hsm.instruction.language_model import add_options
from hsm.page.layout import build_page, launch_options
from hsm.precision import add_device_option


def main(arguments: list[str] | None = None) -> None:
    """Load the model and serve the page."""
    parser = argparse.ArgumentParser(prog="hsm demo", description=__doc__)
    parser.add_argument("--host", help="127.0.0.1 by default; 0.0.0.0 to be reached from other machines")
    parser.add_argument("--port", type=int, help="7860 by default, or the next one that is free")
    parser.add_argument("--weights", type=Path, help="a folder with manifest.json; the bundled one by default")
    shares_gpu = bool(os.environ.get("SPACES_ZERO_GPU"))  # a Space that lends a GPU for seconds
    add_device_option(parser)
    parser.add_argument("--share", action="store_true", help="a public link through Gradio's servers")
    add_options(parser)
    chosen = parser.parse_args(arguments)
    language_model = chosen.language_model, chosen.language_model_url
    model = HSM.load(chosen.weights, "cuda" if shares_gpu else chosen.device, *language_model)
    print(f"Computing on {model.computing}.")
    page = build_page(model, HSM.load(chosen.weights, "cpu", *language_model) if shares_gpu else None)
    page.launch(server_name=chosen.host, server_port=chosen.port, share=chosen.share, **launch_options())


if __name__ == "__main__":
    main()

"""Serve the page: `python app.py` as `hsm demo`. A Hugging Face Space starts here, too."""

from __future__ import annotations

import contextlib

with contextlib.suppress(ModuleNotFoundError):
    import spaces  # noqa: F401  only on a Hugging Face Space, and there it must come before torch

from hsm.page.__main__ import main

if __name__ == "__main__":
    main()

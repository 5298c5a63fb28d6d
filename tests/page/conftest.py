"""A server of the page with a tiny model, for tests that ask it over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hsm import HSM
from hsm.page.layout import build_page, launch_options


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address; uploads and results lie in a folder of its own."""
    folder: Path = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        blocks = build_page(HSM.tiny())
        _, url, _ = blocks.launch(prevent_thread_lock=True, quiet=True, **launch_options())
        yield url
        blocks.close(verbose=False)

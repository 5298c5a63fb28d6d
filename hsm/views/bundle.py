"""Everything a separation gave, in one file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

from hsm.records import Separation
from hsm.views.palette import DOTS_PER_INCH, LIGHT, Palette
from hsm.views.report import separation_json
from hsm.views.spectrograms import spectrogram_figure


def save_bundle(separation: Separation, files: Sequence[Path], path: Path, palette: Palette = LIGHT) -> Path:
    """Pack files, the spectrograms as a picture, and a record of the whole as JSON.

    Args:
        separation: what a call computed.
        files: what was saved of it already; each is packed under its own name.
        path: a file name ending in .zip.
        palette: colours of the spectrograms' frame.

    Returns:
        The path. Nothing is compressed: sound as floating-point numbers hardly shrinks.
    """
    with ZipFile(path, "w", ZIP_STORED) as bundle:
        for file in files:
            bundle.write(file, file.name)
        figure = spectrogram_figure(separation, palette)
        with bundle.open("spectrograms.png", "w") as picture:
            figure.savefig(picture, format="png", dpi=DOTS_PER_INCH, facecolor=figure.get_facecolor())
        bundle.writestr("separation.json", json.dumps(separation_json(separation), indent=2, ensure_ascii=False))
    return path

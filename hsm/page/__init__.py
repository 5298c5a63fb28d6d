"""The page, and the only part of the package that knows Gradio."""

import os
import tempfile
from pathlib import Path

# Gradio reads this when it is imported. The folder is swept, so it must be nobody else's.
os.environ.setdefault("GRADIO_TEMP_DIR", str(Path(tempfile.gettempdir()).resolve() / "hsm-tss"))

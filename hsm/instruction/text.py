"""Typed text made safe to parse: one line, no control characters, a bounded length, some letters."""

from __future__ import annotations

import re
import unicodedata

from hsm.errors import HSMError

LONGEST_CHARACTERS = 1_000
EXAMPLES = '"extract the dog barking", "remove the music", "keep only the speech"'

_QUOTES = str.maketrans({"‘": "'", "’": "'", "ʼ": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "…": "..."})


def clean_text(text: str) -> str:
    """Normalise what a user typed.

    Args:
        text: anything.

    Returns:
        One line in Unicode normal form C: control and format characters gone, curly quotes made
        straight, runs of white space made one space.

    Raises:
        HSMError: nothing typed, more than 1,000 characters, or no letter at all.
    """
    if len(text) > LONGEST_CHARACTERS:
        raise HSMError(
            f"instruction: got {len(text):,} characters; at most {LONGEST_CHARACTERS:,} are read. "
            f"Write one short sentence, for example {EXAMPLES}."
        )
    text = unicodedata.normalize("NFC", text).translate(_QUOTES)
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp", "Zs") else c for c in text)
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cn", "Co"))
    text = re.sub(r"\s+", " ", text).strip()
    if not text:
        raise HSMError(f"instruction: got nothing; say which sound you want, for example {EXAMPLES}.")
    if not any(c.isalpha() for c in text):
        raise nothing_to_separate(text)
    return text


def nothing_to_separate(text: str) -> HSMError:
    """The error for text that names no sound."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return HSMError(f"instruction: found no sound to separate in {shown!r}; name one, for example {EXAMPLES}.")

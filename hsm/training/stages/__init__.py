"""Every stage, one file each; importing them registers them in the order in which they train."""

from hsm.training.stages import (  # noqa: F401, I001
    audiomae,
    q_audio,
    separators,
    mask,
    presence,
    instruction,
    codec,
    decoder,
    audiosep,
)

"""Every stage, one file each; importing them registers them in the order in which they train."""

from hsm.training.stages import (  # noqa: F401, I001
    sound_encoder,
    audiomae,
    q_audio,
    separators,
    mask,
    instruction,
    codec,
    decoder,
    audiosep,
)

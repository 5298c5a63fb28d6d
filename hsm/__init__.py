"""HSM-TSS: text-queried audio source separation via hierarchical modelling.

Reading order: records (what travels), features (what the networks see), model (the paper's figure), separator
(sound and words in, sound out), instruction (what was asked), then training and evaluation.
"""

from hsm.errors import HSMError
from hsm.evaluation.baselines import audiosep  # noqa: F401  # registers its renderer
from hsm.records import Audio, Instruction, Separation, SeparationOptions
from hsm.separator import HSM

__all__ = ["HSM", "Audio", "HSMError", "Instruction", "Separation", "SeparationOptions"]

"""HSM-TSS: text-queried audio source separation via hierarchical modelling.

Reading order: records (what travels), audio (what is heard), models (the networks), pipeline (the
paper's figure), instruction (what was asked), then training and evaluation.
"""

from hsm.errors import HSMError
from hsm.pipeline import HSM
from hsm.records import Audio, Instruction, Separation, SeparationOptions

__all__ = ["HSM", "Audio", "HSMError", "Instruction", "Separation", "SeparationOptions"]

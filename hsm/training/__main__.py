"""`python -m hsm.training STAGE ...`."""

import sys

from hsm.errors import HSMError
from hsm.training.command import main

if __name__ == "__main__":
    try:
        main()
    except HSMError as error:
        sys.exit(f"error: {error}")

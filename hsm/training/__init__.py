"""Training: one loop over small stage classes; see `python -m hsm.training --help`."""

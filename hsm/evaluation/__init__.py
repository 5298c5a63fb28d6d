"""How well a system does what its text says, measured on mixtures whose parts are known.

Read in this order: `metrics` (one number from two waves), `judge` (a tagger for KL), `protocols` (which clips meet,
what is asked, what should come out), `mixtures` (clips to waves), `systems` (how a model is asked), `features` (what
lies inside), `measure` (all of it over a list), `report` (JSON, tables, gates). `reference_scores` scores a single
separation, for the page; `codec` measures the paper's own decoder.
"""

"""How well a separator does what its text says, measured on mixtures whose parts are known.

Read in this order: `metrics` (one number from two waves), `tagger` (a judge for KL), `lists` and `pairs`
(which clips meet, and what is asked), `mixing` (clips to waves), `rows` (what each line of a table hears
and how it is scored), `features` (global feature and attention), `benchmarks` (all of it over a list),
`tables`; `known` scores a single separation, for the page.
"""

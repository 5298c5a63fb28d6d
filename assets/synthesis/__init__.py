"""Sounds for the example mixtures, each computed from a small physical picture of its source.

Every function takes a random generator (and a length in seconds) and returns mono float64 at 44.1 kHz, or
stereo (2, S) where a source is spread in space. Nothing here reads a recording; `tools.py` calls the speech
synthesiser flite and the music synthesiser FluidSynth.
"""

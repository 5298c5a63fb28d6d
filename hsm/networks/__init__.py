"""The networks: tensors in, tensors out.

Axes: B batch, S samples, M mel bins, T frames, F STFT bins, P patches, L text tokens, D width of the
semantic features, C width inside a network, W width of the frozen text encoder, N codec frames,
K codebooks, E width of their entries (in the sound encoder: of its features).
"""

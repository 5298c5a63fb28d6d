"""Other separators to compare with; each registers itself as a renderer where it is defined."""

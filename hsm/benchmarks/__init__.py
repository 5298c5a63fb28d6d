"""Speed and memory, printed and never asserted: they depend on the machine."""

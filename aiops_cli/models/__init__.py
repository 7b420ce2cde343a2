"""Typed values that pass between the layers. Frozen, without I/O; nothing heavy is imported at load."""

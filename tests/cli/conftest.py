"""The stubs for faults, and the program in this process."""

from tests.faults.fixtures import here, stub, stubs, well

__all__ = ["here", "stub", "stubs", "well"]

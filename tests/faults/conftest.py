"""The stubs for faults."""

from tests.faults.fixtures import stub, stubs, well

__all__ = ["stub", "stubs", "well"]

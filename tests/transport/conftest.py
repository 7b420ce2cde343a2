"""The stubs for faults, and the program in this process."""

import pytest

from tests.faults.fixtures import Here, here, stub, stubs, well

__all__ = ["here", "stub", "stubs", "well"]


@pytest.fixture
def aiops(here: Here) -> Here:
    """Connections are alike in any process."""
    return here

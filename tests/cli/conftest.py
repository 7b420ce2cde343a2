"""The stubs for faults, the program in this process, and a HA pair of Alertmanagers and Prometheis."""

from tests.cli.alert_servers import pair, pair_servers
from tests.faults.fixtures import here, stub, stubs, well

__all__ = ["here", "pair", "pair_servers", "stub", "stubs", "well"]

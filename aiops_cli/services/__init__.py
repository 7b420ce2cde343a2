"""One module a capability: asks the fleet through sources, merges, and returns models. No printing."""

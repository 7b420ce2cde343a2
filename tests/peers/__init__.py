"""aiops beside the tools that ask one server: equal answers here, time and memory in `benchmarks/peers.py`."""

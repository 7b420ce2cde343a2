"""Pure functions on arrays: anomalies, change points, root causes. No I/O, no clock, no randomness."""

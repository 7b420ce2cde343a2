"""Measurements of the analysis on public labelled data. Run `python -m benchmarks.NAME --help`."""

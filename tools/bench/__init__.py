"""Benchmarks: each measures side by side, in one run, with what it must beat."""

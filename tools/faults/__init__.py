"""Faults that are made on purpose: kills, and long runs."""

"""Tools: benchmarks, checking and preparing data sets, converting weights."""

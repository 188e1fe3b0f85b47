"""The data sets, one file each: which files there are, and what each of them shows."""

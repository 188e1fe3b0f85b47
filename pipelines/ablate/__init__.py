"""Ablations: a grid of trainings, restartable, and the table of what each block changes, paired over seeds."""

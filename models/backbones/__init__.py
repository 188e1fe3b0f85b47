"""Backbones: networks without a classifier, in the names of their published checkpoints."""

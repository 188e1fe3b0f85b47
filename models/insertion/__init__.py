"""Insertion: from ``"snl@layer3.-1"`` to a block at its place in a network."""

"""Affinities: how positions are related. One file per kind; each builds a linear operator (``blocks/operators.py``)."""

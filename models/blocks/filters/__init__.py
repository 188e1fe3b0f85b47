"""Graph filters: which functions of the affinity A are applied to the signal Z. One file per kind.

A filter with terms f_1 ... f_K turns Z (D channels) into Y = sum_k f_k(A) Z W_k. The W_k are parameters of the
unit (``blocks/unit.py``).
"""

"""The family: each block is one affinity and one filter.

    block        affinity A                                              filter
    nl           softmax / Gaussian / dot product / concatenation        (A)
    ns           as nl                                                   (I - A)
    a2           double attention                                        (A)
    relu_dot     relu product, not normalised                            (A)
    cgnl         Taylor kernel over channels and positions               (A)
    cc           criss-cross                                             (A)
    dnl          whitened softmax + unary softmax                        (A)
    snl          symmetric normalised                                    (I, A)
    snl_2019     softmax                                                 (I, A)
    gsnl         softmax                                                 (I, A, 2A - I)
    cheb         symmetric normalised, or softmax                        (T_0 ... T_K)
    cayley       symmetric normalised                                    (I, Re C^j, Im C^j)
    arma         symmetric normalised                                    (I, resolvents)
    heat         symmetric normalised                                    (I, exp(-t L))
    spectral     symmetric normalised                                    (I, f(L)) for a given f

``docs/theory.md`` has the formulas, the papers, and the tests that prove the table.
"""

from specvid.models.blocks.family import attention, spectral

__all__ = ["attention", "spectral"]

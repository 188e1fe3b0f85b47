"""The parameters of an index, from the number of its rows; what is left to tune is raised until the recall is reached.

``flat``: every row, exactly. ``hnsw``: a graph (Malkov and Yashunin, arXiv:1603.09320), quick, needs the vectors in
memory or page cache. ``ivfpq``: lists of product codes (Jégou et al., TPAMI 2011), small; the best ones are compared
again with the exact vectors.
"""

from dataclasses import dataclass
from math import isqrt

KINDS = ("flat", "hnsw", "ivfpq")
LEAST_ROWS = 39 * 16  # that ivfpq is trained on: FAISS wants 39 for each of the 16 centres of the shortest code
HNSW_SEARCH = (32, 64, 128, 256, 512, 1024)  # efSearch
IVF_PROBES = (1, 4, 8, 16, 32, 64, 128, 256, 512)  # lists that are looked into
REFINE = (4, 8, 16, 32)  # candidates for each neighbour asked for


@dataclass(frozen=True)
class HNSW:
    """``links`` of a row; ``construction``: candidates while it is built."""

    links: int = 32
    construction: int = 128


@dataclass(frozen=True)
class IVFPQ:
    """``lists``; ``codes``: parts of a vector; ``bits`` of each part; ``train``: rows that are trained on; ``padded``:
    the dimensions with zeros added, so that parts are of equal width.
    """

    lists: int
    codes: int
    bits: int
    train: int
    padded: int


def hnsw_parameters(rows: int) -> HNSW:
    """Fewer links where few rows are: the graph is shallow."""
    return HNSW(16, 64) if rows < 10_000 else HNSW()


def ivfpq_parameters(rows: int, dim: int) -> IVFPQ:
    """About 2 sqrt(N) lists, a power of two, and never fewer than 39 rows to train each centre on (FAISS's own rule);
    a code for every 4 dimensions: 8 bits, or 4 where there are too few rows to train 256 centres.
    """
    lists = 1
    while lists * 2 <= min(2 * isqrt(rows), rows // 39):
        lists *= 2
    padded = -(-dim // 4) * 4
    bits = 8 if rows >= 39 * 256 else 4
    return IVFPQ(
        lists, codes=padded // 4, bits=bits, train=min(rows, max(64 * lists, 39 * 2**bits, 20_000)), padded=padded
    )

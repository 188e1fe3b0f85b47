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
    """Parameters of a graph.

    Attributes:
        links: of each row.
        construction: candidates while it is built.
    """

    links: int = 16
    construction: int = 80


@dataclass(frozen=True)
class IVFPQ:
    """Parameters of lists of codes.

    Attributes:
        lists: how many.
        codes: parts of a vector.
        bits: of the code of each part.
        train: rows that the lists are trained on.
        train_codes: rows that the codes are trained on.
        padded: dimensions with zeros added, so that parts are of equal width.
        rounds: of k-means.
    """

    lists: int
    codes: int
    bits: int
    train: int
    train_codes: int
    padded: int
    rounds: int = 10


def hnsw_parameters(rows: int) -> HNSW:
    """Parameters of a graph.

    The time to build grows with links x candidates; what they lack, more candidates make up while searching.

    Args:
        rows: number of vectors.

    Returns:
        The parameters.
    """
    return HNSW(construction=64) if rows < 10_000 else HNSW()


def ivfpq_parameters(rows: int, dim: int) -> IVFPQ:
    """Parameters of lists of quantised vectors.

    There are about 2 sqrt(N) lists, a power of two, and never fewer than 39 rows to train each centre on (FAISS's own
    rule); a code for every 8 dimensions, or 4 where there are few; of 8 bits, or 4 where there are too few rows to
    train 256 centres. 64 rows for each centre are enough: candidates are compared again exactly.

    Args:
        rows: N, number of vectors.
        dim: their length.

    Returns:
        The parameters.
    """
    lists = 1
    while lists * 2 <= min(2 * isqrt(rows), rows // 39):
        lists *= 2
    width = 8 if dim >= 256 else 4
    padded = -(-dim // width) * width
    bits = 8 if rows >= 39 * 256 else 4
    train = min(rows, max(64 * lists, 39 * 2**bits, 20_000))
    return IVFPQ(lists, padded // width, bits, train, train_codes=min(train, 64 * 2**bits), padded=padded)

"""Identities and cameras of a test set as arrays, and whether they leave anything to score."""

from collections.abc import Sequence

import numpy as np

from specvid.datasets.layouts.reid_set import Identity, ReidSet
from specvid.eval.reid.matches import check_matches
from specvid.eval.reid.protocols import NoMatchError


def labels_of_test(data: ReidSet) -> tuple[np.ndarray, np.ndarray]:
    """Identities and cameras (N,) of ``data.test``: as numbers where all are, else as strings."""
    return _as_array([tracklet.pid for tracklet in data.test]), _as_array([tracklet.camid for tracklet in data.test])


def check_scorable(data: ReidSet, protocols: Sequence[str] = ()) -> None:
    """Raises ``NoMatchError`` where no query has a correct match under any of ``protocols``: the labels tell.

    By default under the data set's own protocol. Asked before a training or an embedding, which would be for nothing.
    """
    ids, cams = labels_of_test(data)
    query, gallery = data.query, data.gallery
    why: list[NoMatchError] = []
    for protocol in protocols or (data.protocol,):
        try:
            check_matches(
                ids[query], ids[gallery], cams[query], cams[gallery], protocol=protocol, query_index=data.query_index
            )
            return
        except NoMatchError as error:
            why.append(error)
    raise why[0]


def _as_array(values: list[Identity]) -> np.ndarray:
    return np.array(values if all(isinstance(value, int) for value in values) else [str(value) for value in values])

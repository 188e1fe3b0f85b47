"""Named protocols of video re-identification: which tracklets take part, and which average precision is meant.

One data set, three published figures: on MARS they differ by several points for the same features. So a score always
carries its protocol.

All protocols agree on the rest. A gallery tracklet with the query's identity is a correct match where another camera
took it, and junk (invisible: neither right nor wrong) where the query's own camera did. A query without any correct
match is skipped, and counted.
"""

from dataclasses import dataclass

import numpy as np

from specvid.errors import unknown
from specvid.eval.reid.labels import Labels


@dataclass(frozen=True)
class Protocol:
    """What a published figure means.

    Attributes:
        name: what ``score_reid(protocol=...)`` takes.
        ap: ``trapezoid`` (mean of the precisions before and at each match) or ``mean-precision`` (precision at each
            match).
        about: one line for reports.
        junk: identities that are invisible, as numbers and as MARS's folders spell them.
        leaves_out_junk: junk identities are taken out of the gallery, and not counted there, instead of ignored in it.
        leaves_out_queries: queries that also lie in the gallery are taken out of it.
        splits: how many train / test splits a published figure averages.
    """

    name: str
    ap: str
    about: str
    junk: tuple[int | str, ...] = ()
    leaves_out_junk: bool = False
    leaves_out_queries: bool = False
    splits: int = 1


_MARS_JUNK = (-1, "00-1")

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="mars",
            ap="trapezoid",
            junk=_MARS_JUNK,
            about="the official MATLAB code (Zheng et al. 2016): gallery = all test tracklets, trapezoidal AP",
        ),
        Protocol(
            name="mars-ap",
            ap="mean-precision",
            junk=_MARS_JUNK,
            about="gallery = all test tracklets, AP = mean precision at the matches (AP3D, SINet, PSTA, TF-CLIP)",
        ),
        Protocol(
            name="mars-noquery",
            ap="mean-precision",
            junk=_MARS_JUNK,
            leaves_out_junk=True,
            leaves_out_queries=True,
            about="queries and junk left out of the gallery, AP = mean precision at the matches (torchreid)",
        ),
        Protocol(
            name="ilids-vid",
            ap="mean-precision",
            splits=10,
            about="cam1 queries, cam2 gallery, one match each: AP = 1 / rank; 10 splits (Wang et al. 2014)",
        ),
        Protocol(
            name="prid2011",
            ap="mean-precision",
            splits=10,
            about="cam_a queries, cam_b gallery, one match each: AP = 1 / rank; 10 splits (Hirzer et al. 2011)",
        ),
        Protocol(
            name="cross-camera",
            ap="mean-precision",
            about="own data: a match is the same identity under another camera; AP = mean precision at the matches",
        ),
    )
}
MARS_PROTOCOLS = ("mars", "mars-ap", "mars-noquery")


class NoMatchError(ValueError):
    """No query has a correct match in the gallery: there is nothing to score. The message names the cause."""


def get_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Args:
        name: a key of ``PROTOCOLS``.

    Raises:
        ValueError: another name; the message has the nearest right ones.
    """
    if not isinstance(name, str) or name not in PROTOCOLS:
        raise unknown("protocol", str(name), PROTOCOLS)
    return PROTOCOLS[name]


def is_junk(protocol: Protocol, ids: Labels) -> np.ndarray:
    """The gallery tracklets of an identity that the protocol ignores.

    Args:
        protocol: the one in use.
        ids: identities.

    Returns:
        (G,) bool.
    """
    return np.isin(ids.gallery, [ids.code(junk) for junk in protocol.junk if ids.code(junk) >= 0])


def why_no_match(protocol: Protocol, ids: Labels, cameras: Labels, in_gallery: np.ndarray, junk: np.ndarray) -> str:
    """The cause and the fix where no query has a correct match.

    Args:
        protocol: the one in use.
        ids: identities.
        cameras: cameras.
        in_gallery: (G,) bool, tracklets that the protocol leaves in the gallery.
        junk: (G,) bool, tracklets of junk identities.

    Returns:
        The message of a ``NoMatchError``.
    """
    opening = f"no query has a correct match in the gallery (protocol {protocol.name}): "
    valid = in_gallery & ~junk
    if not valid.any():
        parts = [f"{junk.sum()} of junk identities ({', '.join(map(str, protocol.junk))})"] if junk.any() else []
        left_out = int((~in_gallery & ~junk).sum())
        parts += [f"{left_out} that are queries themselves"] if left_out else []
        return (
            opening + f"none of its {len(valid)} tracklets counts ({' and '.join(parts)}). "
            "Give it tracklets of the queries' identities under other cameras, or another protocol"
        )
    shared = np.isin(ids.query, ids.gallery[valid])
    if not shared.any():
        return (
            opening + f"they share no identity (queries {_some(ids.names, ids.query)}; gallery "
            f"{_some(ids.names, ids.gallery[valid])}). Both must number identities the same way"
        )
    all_cameras = np.union1d(cameras.query, cameras.gallery[valid])
    if len(all_cameras) == 1:
        return (
            opening
            + f"all tracklets have the camera {cameras.names[all_cameras[0]]!s}, and a match must come from another "
            "camera than its query. Give the true cameras; if there is only one, name it differently for queries and "
            "gallery"
        )
    return (
        opening
        + f"{shared.sum()} of {len(shared)} queries find their identity in the gallery, but under their own camera "
        f"(cameras: {_some(cameras.names, all_cameras)}). Check that the camera labels are not swapped, nor the same "
        "for all tracklets of an identity"
    )


def _some(names: np.ndarray, codes: np.ndarray, most: int = 4) -> str:
    """The first few distinct labels, for a message."""
    labels = [str(names[code]) for code in np.unique(codes)]
    return ", ".join(labels[:most]) + (f" ... ({len(labels)} in all)" if len(labels) > most else "")

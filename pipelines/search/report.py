"""The answer of a search as a table in text, or as one HTML page that needs nothing else: its frames are inside."""

import base64
import html
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from specvid.datasets.decode import open_video
from specvid.datasets.layouts.media import IMAGES
from specvid.errors import VideoError
from specvid.files import replacing_file
from specvid.pipelines.engine.isolated import IsolatedCalls
from specvid.pipelines.search.duplicates import DuplicateGroups
from specvid.pipelines.search.query import Answer
from specvid.text import counted, one_line, to_text

_HEIGHT = 120  # px
_OWN = ("id", "path", "folder", "start_s", "end_s", "first_frame", "last_frame")
_POLICY = """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; """
_POLICY += """style-src 'unsafe-inline'">"""  # nothing runs, nothing is fetched, whatever a name may hold
_STYLE = (
    "body{font:15px/1.4 sans-serif;margin:2em;color:#222;background:#fff}img{height:120px;margin-right:2px}"
    "article{margin:0 0 1.6em}h2{font-size:1em;margin:0 0 .3em}p{margin:.2em 0;color:#666;overflow-wrap:anywhere}"
)


def as_text(answer: Answer) -> str:
    """An answer as a table: rank, cosine, time span, carried columns, id.

    Args:
        answer: what a search found.

    Returns:
        The rows, best first, and below them how many there are, of how many, found by which index.
    """
    carried = [name for name in (answer.rows[0].columns if answer.rows else {}) if name not in _OWN]
    several = any(row.data_set for row in answer.rows)
    rows = [["", "cosine", "time span", *(["data set"] if several else []), *carried, "id"]]
    for row in answer.rows:
        values = [row.data_set] if several else []
        values += [str(row.columns[name]) for name in (*carried, "id")]
        rows.append([str(row.rank), f"{row.score:.4f}", _span(row.columns).strip(), *map(one_line, values)])
    return f"{to_text(rows)}\n{len(answer.rows)} of {counted(answer.rows_searched, 'row')} ({answer.method})"


def groups_as_text(found: DuplicateGroups) -> str:
    """Groups of duplicates as a table: number of the group, cosine with its first row, time span, id.

    Args:
        found: the groups.

    Returns:
        The rows, and below them how many groups there are.
    """
    rows = [["group", "cosine", "time span", "id"]]
    for number, group in enumerate(found.groups, start=1):
        rows += [
            [str(number), f"{row.score:.4f}", _span(row.columns).strip(), one_line(str(row.columns["id"]))]
            for row in group
        ]
    ending = f"{counted(len(found.groups), 'group')} among {counted(found.rows, 'row')}"
    return f"{to_text(rows)}\n{ending}" if found.groups else ending


def write_page(answer: Answer, query: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Write an answer as a page: the query, then each row with its first, middle and last frame and its columns.

    Args:
        answer: what a search found.
        query: what was searched for.
        path: the file to write.
    """
    with IsolatedCalls() as isolated:
        parts = list(_articles(answer, query, isolated))
    heading = f"<h1>{len(answer.rows)} nearest of {answer.rows_searched:,} ({html.escape(answer.method)})</h1>"
    head = f'<meta charset="utf-8">{_POLICY}<title>{html.escape(answer.query)}</title><style>{_STYLE}</style>'
    page = f'<!doctype html><html lang="en">{head}{heading}{"".join(parts)}</html>'
    with replacing_file(Path(path)) as staging:
        staging.write_text(page, encoding="utf-8", errors="backslashreplace")


def _articles(answer: Answer, query: Sequence[str], isolated: IsolatedCalls) -> Iterator[str]:
    """The query, where it is a file, and each row."""
    if all(os.path.exists(item) for item in query):
        yield _article("query", "".join(_pictures(item, [], isolated) for item in query[:3]), answer.query)
    for found in answer.rows:
        row = found.columns
        known = row["first_frame"] is not None  # of features of tracklets it is not
        numbers = np.unique(np.linspace(row["first_frame"], row["last_frame"], 3).astype(int)).tolist() if known else []
        others = [f"{name}: {value}" for name, value in row.items() if name not in _OWN and value is not None]
        others = [found.data_set, *others] if found.data_set else others
        text = "; ".join([row["path"], *others]) if row["path"] != row["id"] else "; ".join(others)
        heading = f"{found.rank}. {row['id']}{_span(row)}, {found.score:.4f}"
        yield _article(heading, _pictures(found.file, numbers, isolated), text)


def _span(row: dict[str, Any]) -> str:
    """`` 2.0-4.0 s`` of a row that is a window, frames where the frame rate is not known, crops of a tracklet."""
    if row["start_s"] is not None:
        return f" {row['start_s']:.1f}-{row['end_s']:.1f} s"
    if row["first_frame"] is None:
        return ""
    # Of a tracklet its crops are counted: which frames of the video they are from no column says.
    what = "crops" if os.path.splitext(row["path"])[1].lower() in IMAGES else "frames"
    return f" {what} {row['first_frame']}-{row['last_frame']}"


def _article(heading: str, pictures: str, text: str) -> str:
    return f"<article><h2>{html.escape(heading)}</h2>{pictures}<p>{html.escape(text)}</p></article>"


def _pictures(path: str, numbers: list[int], isolated: IsolatedCalls) -> str:
    """Small pictures of frames, or why there are none; the data set may name files that kill their decoder."""
    try:
        pictures = isolated(path, _encode, path, numbers)
    except (VideoError, ValueError) as error:
        return f"<p>{html.escape(str(error))}</p>"
    data = [base64.b64encode(picture).decode() for picture in pictures]
    return "".join(f'<img alt="" src="data:image/jpeg;base64,{text}">' for text in data)


def _encode(path: str, numbers: Sequence[int]) -> list[bytes]:
    """Some frames as small JPEG files."""
    import cv2

    pictures = []
    for frame in frames_of(path, numbers)[:3]:
        width = max(1, round(frame.shape[1] * _HEIGHT / frame.shape[0]))
        small = cv2.resize(frame, (width, _HEIGHT), interpolation=cv2.INTER_AREA)
        pictures.append(cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes())
    return pictures


def frames_of(path: str, numbers: Sequence[int]) -> list[np.ndarray]:
    """Some frames of a video, a folder of images or an image.

    Args:
        path: of it.
        numbers: of the frames; the last one stands for those beyond the end; the middle one if none is given.

    Returns:
        uint8 (H, W, 3) each.

    Raises:
        VideoError: it cannot be decoded.
    """
    if os.path.splitext(path)[1].lower() in IMAGES:
        from specvid.datasets.decode.images import read_frame

        return [read_frame(path)]
    with open_video(path) as video:
        if not numbers:
            numbers = [len(video) // 2]
        return list(video.frames([min(number, len(video) - 1) for number in numbers]))

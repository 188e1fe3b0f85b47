"""An answer as a table in text: rank, cosine, stretch, carried columns, id."""

from specvid.pipelines.embed.sources import one_line
from specvid.pipelines.search.page import span
from specvid.pipelines.search.query import Answer
from specvid.text import to_text

_SHOWN_OTHERWISE = ("rank", "score", "id", "path", "start_s", "end_s", "first_frame", "last_frame")


def as_text(answer: Answer) -> str:
    """The rows of ``answer``, best first, and below them how many there are, of how many, found how."""
    carried = [name for name in (answer.rows[0] if answer.rows else {}) if name not in _SHOWN_OTHERWISE]
    rows = [["", "cosine", "stretch", *carried, "id"]]
    for row in answer.rows:
        values = [one_line(str(row[name])) for name in (*carried, "id")]
        rows.append([str(row["rank"]), f"{row['score']:.4f}", span(row).strip(), *values])
    return f"{to_text(rows)}\n{len(answer.rows)} of {answer.rows_searched:,} rows ({answer.how})"

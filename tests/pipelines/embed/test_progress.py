"""What a long embedding says while it runs."""

import pyarrow as pa

from specvid.pipelines.embed import progress as module
from specvid.pipelines.embed.progress import Progress
from specvid.pipelines.embed.shards import VideoResult


def test_speed_and_time_left(monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    lines: list[str] = []
    table = pa.table({"id": [f"v{n}\n" for n in range(200)]})
    with Progress(200, lines.append, table) as progress:
        for row in range(40):
            now[0] += 1
            progress.step(VideoResult(row, error="is empty" if row == 5 else ""), 16)
    assert lines == ["failed: v5\\n: is empty", "31 of 200 videos  1.0 videos/s  16 frames/s  left 0:02:49  1 failed"]
    assert progress.line().startswith("40 of 200 videos") and (progress.done, progress.frames) == (40, 640)


def test_a_flood_of_failures_is_cut_but_counted() -> None:
    lines: list[str] = []
    with Progress(80, lines.append, pa.table({"id": ["x"] * 80})) as progress:
        for row in range(80):
            progress.step(VideoResult(row, error="is empty"), 0)
    assert len(lines) == 51 and "errors.parquet names all" in lines[-1] and progress.failed == 80

"""The page's application without a browser: what it answers, and what it refuses."""

import asyncio
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic_embeddings import write_embeddings

from specvid.pipelines.browse import app as module
from specvid.pipelines.browse.app import create_app
from specvid.pipelines.browse.browser import Browser
from specvid.pipelines.browse.map import EmbeddingMap
from specvid.pipelines.browse.serving import open_socket
from specvid.pipelines.browse.sets import open_sets
from specvid.pipelines.search.deleting import delete

pytest.importorskip("starlette", reason="pip install 'specvid[app]'")


class Asked:
    """An application that is asked in this process: no client tidies a path up."""

    def __init__(self, browser: Browser) -> None:
        self.app = create_app(browser)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        return asyncio.run(self._ask(method, path, body, {"host": "127.0.0.1:8008", **headers}))

    async def _ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        sent: list[dict[str, Any]] = []
        path, _, query = path.partition("?")
        scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "root_path": ""}
        scope |= {"query_string": query.encode(), "http_version": "1.1", "scheme": "http", "server": None}
        scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        content = body if isinstance(body, bytes) else json.dumps(body).encode()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        self.headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        text = b"".join(message.get("body", b"") for message in sent[1:])
        return sent[0]["status"], json.loads(text) if "json" in self.headers["content-type"] else text


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("app")
    vectors = np.repeat(np.eye(4), 3, axis=0) + 0.01 * np.random.default_rng(0).normal(size=(12, 4))
    columns = {"label": ["a"] * 6 + ["b"] * 6, "weight": [*range(11), None]}
    return write_embeddings(base / "emb", vectors, columns=columns, shard_size=5).path


@pytest.fixture(scope="module")
def ask(out: Path) -> Iterator[Asked]:
    sets = open_sets([out])
    places = np.array([(0, row) for row in range(12)])
    with Browser(sets, EmbeddingMap(places, np.zeros((12, 2), np.float32), 12), device="cpu") as browser:
        yield Asked(browser)


def test_rows_filters_and_columns(ask: Asked) -> None:
    status, found = ask("POST", "/api/search", {"set": 0, "row": 0, "k": 2})
    assert status == 200 and {card["row"] for card in found["rows"]} == {1, 2} and found["query"] == "n0"
    status, found = ask("POST", "/api/search", {"id": "n0", "k": 20, "where": "label == 'b'"})
    assert [card["columns"]["label"] for card in found["rows"]] == ["b"] * 6
    assert ask("GET", "/api/matches?where=label%20%3D%3D%20'a'")[1] == [True] * 6 + [False] * 6
    assert ask("GET", "/api/values?column=weight")[1] == [*range(11), None]
    assert ask("GET", "/api/values?column=")[1] == ["emb"] * 12
    assert ask("GET", "/api/about")[1]["sets"][0]["rows"] == 12


def test_two_groups(ask: Asked) -> None:
    status, found = ask("POST", "/api/compare", {"a": [[0, n] for n in range(6)], "b": [[0, n] for n in range(6, 12)]})
    assert status == 200 and found["rows"] == [6, 6] and found["both"] == 0
    apart = {column["name"]: column["difference"] for column in found["columns"]}
    assert apart["label"] == apart["weight"] == 1.0 and "id" not in apart
    same = ask("POST", "/api/compare", {"a": [[0, 1], [0, 2]], "b": [[0, 2], [0, 1]]})[1]
    assert same["both"] == 2 and {column["difference"] for column in same["columns"]} == {0.0}
    assert ask("POST", "/api/compare", {"a": [], "b": [[0, 1]]}) == (
        400,
        {"error": "group A has no rows: select some on the map, or by a filter."},
    )


def test_two_data_sets(out: Path, tmp_path: Path) -> None:
    vectors = [[1, 0.1, 0, 0], [0, 0, 1, 0.2], [1, 0.101, 0, 0]]
    columns = {"label": ["c", "d", "e"], "weight": [1, 2, 3], "own": ["x", "y", "z"]}
    other = write_embeddings(tmp_path / "emb", vectors, ids=["m0", "m1", "m2"], columns=columns).path
    with Browser(open_sets([out, other]), None, device="cpu") as browser:
        ask = Asked(browser)
        assert [one["name"] for one in ask("GET", "/api/about")[1]["sets"]] == ["emb", "emb (2)"]
        found = ask("POST", "/api/search", {"set": 1, "row": 0, "k": 4})[1]["rows"]
        assert (found[0]["set"], found[0]["row"], found[0]["columns"]["own"]) == (1, 2, "z")
        assert {(card["set"], card["columns"]["id"]) for card in found[1:]} == {(0, "n0"), (0, "n1"), (0, "n2")}
        assert ask("POST", "/api/search", {"id": "m1", "k": 1})[1]["rows"][0]["columns"]["id"] in ("n6", "n7", "n8")
        apart = ask("POST", "/api/compare", {"a": [[0, 0]], "b": [[1, 0], [0, 1]]})[1]
        assert {"label", "own", "data set"} <= {column["name"] for column in apart["columns"]}
        assert ask("GET", "/api/points") == (403, {"error": "there is no map: start again without --no-map."})
    with pytest.raises(ValueError, match="is named twice"):
        open_sets([out, out])


@pytest.mark.parametrize("change", ["delete", "append"])
def test_a_data_set_that_was_changed_meanwhile_says_so(tmp_path: Path, change: str) -> None:
    """The rows had other numbers then: cards showed other videos, with the scores of those that were found."""
    folder = write_embeddings(tmp_path / "emb", np.eye(12), shard_size=4)
    with Browser(open_sets([folder.path]), None) as browser:
        asked = Asked(browser)
        assert asked("POST", "/api/search", {"id": "n3", "k": 2})[0] == 200
        if change == "delete":
            delete(folder.path, ["n0", "n1"])
        else:
            write_embeddings(tmp_path / "emb", np.eye(13), shard_size=4)
        for request in (("POST", "/api/search", {"id": "n3", "k": 2}), ("GET", "/api/rows/0/3", None)):
            status, found = asked(*request)
            assert status == 400 and "was changed since it was opened" in found["error"]


def test_what_is_outside_the_data_is_refused(ask: Asked, out: Path) -> None:
    file = out / "embed.json"
    for path in ("/static/../app.py", "/static/app.py", f"/{file}", f"/pictures/{file}", "/pictures/0/-1", "/x"):
        assert ask("GET", path)[0] == 404, path
    assert ask("GET", "/pictures/0/12")[0] == ask("GET", "/pictures/1/0")[0] == 403
    status, text = ask("POST", "/api/search", {"id": str(file)})
    assert status == 403 and "is no id in these data sets" in text["error"]
    assert ask("POST", "/api/search", [1])[0] == ask("POST", "/api/search", {"id": "n0", "k": 10**6})[0] == 400
    for body in (b"[" * 100_000, b'{"set": Infinity, "row": 0}', b'{"set": 0, "row": 1e400}'):
        assert ask("POST", "/api/search", body)[0] == 400, body[:30]
    assert "number" in ask("POST", "/api/search", {"id": "n0", "k": "²"})[1]["error"]
    assert "by the numbers of its data set and" in ask("POST", "/api/compare", {"a": [[0, 1, 2]], "b": [7]})[1]["error"]
    assert ask("POST", "/api/search", b" " * (17 * 2**20))[1] == {"error": "a request may have 16 MB at most."}
    assert ask("GET", "/", Host="evil.example")[0] == 403
    assert ask("POST", "/api/search", {"set": 0, "row": 0}, Origin="http://evil.example")[0] == 403
    assert ask("POST", "/api/search", {"set": 0, "row": 0}, Origin="http://127.0.0.1:8008")[0] == 200
    assert ask("POST", "/api/upload", b"", **{"Content-Length": str(2**40)})[0] == 413
    assert "default-src 'none'" in ask.headers["content-security-policy"]


def test_a_row_whose_file_is_gone_says_so(ask: Asked) -> None:
    status, text = ask("GET", "/pictures/0/3")
    assert status == 400 and "n3" in text["error"]


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ValueError, match=r"port \d+ of '127.0.0.1' cannot be opened .* give --port another number"):
            open_socket("127.0.0.1", other.getsockname()[1])
    with pytest.raises(ValueError, match="Give --host an address of this machine"):
        open_socket("203.0.113.7", 0)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "plotly", None)
    with pytest.raises(ValueError, match=r"browse needs plotly.*Run `pip install 'specvid\[app\]'`"):
        module.static_files()

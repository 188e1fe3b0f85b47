"""The page and what it asks for, as a Starlette application.

Nothing is served by its path: pictures are asked for by data set and row, and are made of decoded frames. The policy of
the page lets it ask its own address only, and runs no script but its own; values of the data are put into it as text.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from specvid.extras import require
from specvid.pipelines.browse.browser import Browser, RefusedError, SearchOptions
from specvid.pipelines.browse.sets import Place

T = TypeVar("T")
_STATIC = Path(__file__).parent / "static"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_LARGEST = 2**30  # bytes of an upload
_MOST_FILES = 2000
_LARGEST_JSON = 16 * 2**20  # bytes of any other request: two regions of a map of a million points
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def create_app(browser: Browser, *, hosts: tuple[str, ...] = ("127.0.0.1", "localhost", "[::1]")) -> Any:
    """Make the application.

    Args:
        browser: the data sets.
        hosts: names by which it may be asked: other pages can let a browser ask 127.0.0.1 under names of their own.
            ``*`` for any.

    Returns:
        An ASGI application.

    Raises:
        ValueError: Starlette or Plotly is not installed.
    """
    for module in ("starlette.applications", "python_multipart", "plotly"):
        require(module, extra="app", what="browse")
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import FileResponse, JSONResponse, Response
    from starlette.routing import Route

    # Threads of their own: a process that decodes ends with the thread that started it.
    working, decoding = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
    static = static_files()

    async def on(pool: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any) -> T:
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(pool, browser.unchanged, partial(function, *arguments))

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in static:
            raise HTTPException(404, "there is no such page")
        return FileResponse(static[name], media_type=_TYPES[static[name].suffix])

    async def about(request: Request) -> Response:
        return JSONResponse(browser.about())

    async def points(request: Request) -> Response:
        return JSONResponse(await on(working, browser.points))

    async def values(request: Request) -> Response:
        return JSONResponse(await on(working, browser.values, request.query_params.get("column", "")))

    async def matches(request: Request) -> Response:
        return JSONResponse(await on(working, browser.matches, request.query_params.get("where", "")))

    async def row(request: Request) -> Response:
        return JSONResponse(await on(working, browser.card, _place(request.path_params)))

    async def picture(request: Request) -> Response:
        still = request.query_params.get("still") == "1"
        made = await on(decoding, partial(browser.picture, _place(request.path_params), still=still))
        return Response(made, media_type="image/webp", headers={"Cache-Control": "private, max-age=600"})

    async def find(request: Request) -> Response:
        asked = await _json(request)
        options = _options(asked)
        if "row" in asked:
            found = await on(working, browser.by_row, _place(asked), options)
        elif asked.get("text"):
            found = await on(working, browser.by_text, str(asked["text"]), options)
        else:
            found = await on(working, browser.by_id, str(asked.get("id", "")), options)
        return JSONResponse(found)

    async def upload(request: Request) -> Response:
        length = request.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > _LARGEST:
            raise HTTPException(413, f"an upload may have {_LARGEST // 2**20} MB at most")
        async with request.form(max_files=_MOST_FILES, max_fields=10) as form:
            files = [(item.filename or "", item.file) for item in form.getlist("files") if not isinstance(item, str)]
            options = _options({name: value for name, value in form.items() if isinstance(value, str)})
            return JSONResponse(await on(working, browser.by_files, files, options))

    async def difference(request: Request) -> Response:
        asked = await _json(request)
        groups = [[_place(pair) for pair in asked.get(name) or []] for name in ("a", "b")]
        return JSONResponse(await on(working, browser.difference, *groups))

    def refused(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 403 if _is_refused(error) else 400
        text = error.detail if isinstance(error, HTTPException) else str(error)
        return JSONResponse({"error": text}, status)

    routes = [
        Route("/", page),
        Route("/static/{name}", page),
        Route("/api/about", about),
        Route("/api/points", points),
        Route("/api/values", values),
        Route("/api/matches", matches),
        Route("/api/rows/{set:int}/{row:int}", row),
        Route("/api/search", find, methods=["POST"]),
        Route("/api/upload", upload, methods=["POST"]),
        Route("/api/compare", difference, methods=["POST"]),
        Route("/pictures/{set:int}/{row:int}", picture),
    ]
    handlers: dict[Any, Any] = {ValueError: refused, HTTPException: refused, TypeError: refused}
    return _Guard(Starlette(routes=routes, exception_handlers=handlers), hosts)


class _Guard:
    """Refuses requests that other pages make through the browser of the user; adds the headers."""

    def __init__(self, app: Any, hosts: tuple[str, ...]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get("host", ""), headers.get("origin")
        named = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        foreign = origin is not None and origin.partition("://")[2] != host
        if foreign or ("*" not in self._hosts and named not in self._hosts):
            from starlette.responses import JSONResponse

            await JSONResponse({"error": "this page answers only itself"}, 403)(scope, receive, send)
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.lower().encode(), value.encode()) for name, value in _HEADERS.items()),
                ]
            await send(message)

        await self._app(scope, receive, with_headers)


def static_files() -> dict[str, Path]:
    """The files of the page, by name; Plotly's script is that of its Python package."""
    plotly = require("plotly", extra="app", what="browse")
    own = {file.name: file for file in _STATIC.iterdir() if file.suffix in _TYPES}
    return own | {"plotly.min.js": Path(str(plotly.__file__)).parent / "package_data" / "plotly.min.js"}


def _is_refused(error: Exception) -> bool:
    return isinstance(error, RefusedError)


def _place(asked: Any) -> Place:
    """The data set and row of a request: ``{"set": 0, "row": 7}`` or ``[0, 7]``."""
    try:
        at, row = asked if isinstance(asked, list) else (asked["set"], asked["row"])
        return int(at), int(row)
    except (KeyError, TypeError, ValueError, OverflowError):  # of Infinity, which JSON of Python knows
        raise ValueError("a row is asked for by the numbers of its data set and of itself.") from None


def _options(asked: dict[str, Any]) -> SearchOptions:
    """The options of a search."""
    k = asked.get("k") or SearchOptions.k
    if not str(k).isdecimal():
        raise ValueError(f"k {str(k)[:20]!r} must be a number.")
    return SearchOptions(int(k), str(asked.get("where") or ""), str(asked.get("group_by") or ""))


async def _json(request: Any) -> dict[str, Any]:
    """The body of a request."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST_JSON:
            raise ValueError(f"a request may have {_LARGEST_JSON // 2**20} MB at most.")
    try:
        asked = json.loads(bytes(body))
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise ValueError("a request must be a JSON object.")
    return asked

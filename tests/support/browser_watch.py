"""What a page in a browser asks of others, and complains about."""

from typing import Any
from urllib.parse import urlsplit

_LOCAL = ("file", "data", "blob", "about")


class Watched:
    """What a page asked and complained about.

    Attributes:
        errors: of its console, and exceptions of its scripts.
        outside: addresses of requests to anybody but this machine.
    """

    def __init__(self, page: Any) -> None:
        self.errors: list[str] = []
        self.outside: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._note)

    def _hear(self, message: Any) -> None:
        complains = message.type in ("error", "warning") or message.text.startswith("WARN")  # as Plotly begins
        if complains and "status of 400" not in message.text:  # a mistake of the user, which the page shows
            self.errors.append(message.text)

    def _note(self, request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in _LOCAL and parts.hostname != "127.0.0.1":
            self.outside.append(request.url)

"""What a page in a browser asks of others, and complains about."""

from typing import Any
from urllib.parse import urlsplit

_LOCAL = ("file", "data", "blob", "about")


class Watched:
    """What a page asked and complained about.

    Attributes:
        errors: of its console, and exceptions of its scripts.
        outside: addresses of requests to anybody but this machine; they are not let through.
    """

    def __init__(self, page: Any) -> None:
        self.errors: list[str] = []
        self.outside: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.route("**/*", self._let_through)

    def _let_through(self, route: Any) -> None:
        parts = urlsplit(route.request.url)
        if parts.scheme in _LOCAL or parts.hostname == "127.0.0.1":
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

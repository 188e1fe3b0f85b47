"""Serving the page until Ctrl-C."""

import errno
import socket
import threading
import webbrowser
from collections.abc import Callable
from typing import Any

from specvid.extras import require

_LOCAL = ("127.0.0.1", "localhost", "::1")


def open_socket(host: str, port: int) -> socket.socket:
    """Take a port.

    Args:
        host: address of this machine.
        port: its number; 0 for any free one.

    Returns:
        The socket.

    Raises:
        ValueError: another program has it, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((host, port))
    except OSError as error:
        taken.close()
        fix = "Give --host an address of this machine."
        if error.errno == errno.EADDRINUSE:
            fix = "Another program uses it: give --port another number, 0 for any free one."
        elif error.errno == errno.EACCES:
            fix = "Ports below 1024 are the system's: give --port another number."
        raise ValueError(f"port {port} of {host!r} cannot be opened ({error.strerror}). {fix}") from None
    except OverflowError:
        taken.close()
        raise ValueError(f"port {port} must be from 0 to 65535.") from None
    return taken


def serve(app: Any, listening: socket.socket, *, show: bool, echo: Callable[[str], None]) -> None:
    """Serve an application until a signal ends it.

    Args:
        app: an ASGI application.
        listening: of `open_socket`.
        show: open the page in the user's browser.
        echo: gets the address, and a warning where others can open the page.
    """
    uvicorn = require("uvicorn", extra="app", what="browse")
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}/"
    if host not in _LOCAL:
        echo(
            f"warning: whoever reaches {host} through the network sees these data sets and their frames, and can "
            "upload files to be decoded here; nothing asks for a password. Without --host only this machine does."
        )
    echo(f"{address}  (Ctrl-C ends it)")
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2, lifespan="off")
    if show:
        threading.Timer(0.5, webbrowser.open, [address]).start()
    uvicorn.Server(config).run(sockets=[listening])

"""FiftyOne without MongoDB: on mongomock, which keeps its documents in memory."""

import importlib
from types import ModuleType
from typing import Any

import pytest


def fiftyone_in_memory(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """FiftyOne, connected to an empty database in memory; skips where it or mongomock is not installed."""
    mongomock = pytest.importorskip("mongomock", reason="mongomock is not installed")
    pytest.importorskip("motor", reason="fiftyone is not installed: pip install 'specvid[fiftyone]'")
    import mongoengine
    import mongoengine.connection as connections
    import pymongo

    class Client(mongomock.MongoClient):  # type: ignore[misc, name-defined]
        _closed = is_mongos = False

    client = Client()
    for name, value in {
        "DATABASE_URI": "mongodb://localhost:27017",
        "DATABASE_VALIDATION": "false",
        "DATABASE_ADMIN": "false",
        "DISABLE_SERVICES": "1",
        "DO_NOT_TRACK": "true",
    }.items():
        monkeypatch.setenv(f"FIFTYONE_{name}", value)

    def connect(name: str, alias: str = "default", **options: Any) -> Any:
        settings = {"name": name, "username": None, "password": None, "authentication_source": None}
        for table, value in {"_connections": client, "_connection_settings": settings, "_dbs": client[name]}.items():
            monkeypatch.setitem(getattr(connections, table), alias, value)
        return client

    monkeypatch.setattr(pymongo, "MongoClient", lambda *_, **__: client)
    monkeypatch.setattr(mongoengine, "connect", connect)
    return importlib.import_module("fiftyone")

"""The strict build of the site: what it says of public names whose docstrings lack something."""

import pytest

griffe = pytest.importorskip("griffe", reason="pip install 'specvid[docs]'")
pytest.importorskip("mkdocs", reason="pip install 'specvid[docs]'")

from specvid.tools.docs.api_pages import undocumented, without_arguments  # noqa: E402

CODE = '''
from dataclasses import dataclass

class Base:
    """A base.

    Args:
        channels: C.
    """
    def __init__(self, channels):
        pass
    def apply(self, x):
        """Apply it.

        Args:
            x: (B, C).
        """

class Derived(Base):
    """Another one."""
    def __init__(self, channels):
        pass
    def apply(self, x):
        """Apply it faster."""
    def other(self, x):
        """(B, C) -> (B, D)."""
    def more(self, x):
        """Says nothing of x."""
    def none(self):
        """Takes nothing."""

class Alone:
    """Takes channels."""
    def __init__(self, channels):
        pass

@dataclass
class Config:
    """Fields have their help beside them."""
    rate: float = 1.0

def bare(x):
    pass

def silent(x):
    """Says nothing of x."""

def _private(x):
    """Says nothing of x."""
'''


def test_names_without_docstrings_or_arguments() -> None:
    with griffe.temporary_visited_module(CODE, module_name="sample") as module:
        assert list(undocumented(module)) == ["sample.bare"]
        assert sorted(without_arguments(module)) == [
            "sample.Alone",
            "sample.Derived.more",
            "sample.bare",
            "sample.silent",
        ]

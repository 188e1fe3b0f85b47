"""A page of the API for each public module, made while MkDocs builds the site: a hook of `mkdocs.yml`.

A public name without a docstring is a warning, at which the strict build fails, and so is a public function or class
that takes arguments and does not describe them: under ``Args:``, or as shapes, ``(B, C, N) -> (B, N, N)``. A
method that overrides one of a base class of ours has the docstring of that one, and what a module's ``forward`` maps to
what, its class says. The commands' options have their help beside them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import get_plugin_logger
from mkdocs.structure.files import File, Files

log = get_plugin_logger("api_pages")

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("models", "datasets", "eval", "pipelines", "tools")
GROUND = ("errors", "files", "config", "text", "memory", "modality", "extras", "registry")
_MAPS = ("forward", "backward")  # of a module or a function of autograd, whose class describes them


def modules() -> dict[str, Path]:
    """The public modules by their dotted names (a name that begins with an underscore is private)."""
    files = {f"specvid.{name}": ROOT / "src/specvid" / f"{name}.py" for name in GROUND}
    for room in (*ROOMS, "src/specvid/cli"):
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts[2:] if parts[0] == "src" else parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            if not any(part.startswith("_") for part in parts):
                files[".".join(("specvid", *parts))] = path
    return {name: path for name, path in files.items() if path.is_file()}


def undocumented(parent: griffe.Object | griffe.Alias) -> Iterator[str]:
    """The public modules, classes, functions and methods that have no docstring.

    Args:
        parent: what contains them, at any depth.

    Yields:
        Dotted names.
    """
    for name, member in parent.members.items():
        if member.is_alias or member.is_attribute or name in _MAPS or name.startswith("_"):
            continue
        if not member.has_docstring:
            yield member.path
        if member.is_module or member.is_class:
            yield from undocumented(member)


def without_arguments(parent: griffe.Object | griffe.Alias) -> Iterator[str]:
    """The public functions, methods and classes that take arguments and do not describe them.

    Args:
        parent: what contains them, at any depth.

    Yields:
        Dotted names.
    """
    for name, member in parent.members.items():
        if member.is_alias or member.is_attribute or name in (*_MAPS, "cli") or name.startswith("_"):
            continue
        if member.is_module or member.is_class:
            yield from without_arguments(member)
        text = member.docstring.value if member.docstring else ""
        if any(word in text for word in ("Args:", "Attributes:", " -> ")) or _is_override(parent, name):
            continue
        if isinstance(member, griffe.Class):
            if "dataclass" in member.labels or _is_override(member, "__init__"):
                continue
            member = member.members.get("__init__", member)
        if isinstance(member, griffe.Function) and any(one.name not in ("self", "cls") for one in member.parameters):
            yield member.path.removesuffix(".__init__")


def _is_override(parent: griffe.Object | griffe.Alias, name: str) -> bool:
    """Whether a method is described in a base class of ours."""
    return isinstance(parent, griffe.Class) and any(name in base.members for base in parent.mro())


def on_pre_build(config: MkDocsConfig) -> None:
    """Warn of every public name without a docstring, and of arguments that are not described.

    Args:
        config: of the site.
    """
    inherited = griffe.load_extensions("griffe_inherited_docstrings")
    package = griffe.load("specvid", search_paths=[ROOT / "src"], extensions=inherited)
    assert not isinstance(package, griffe.Alias)
    for name in undocumented(package):
        log.warning(f"{name} is public and has no docstring: write one, or begin its name with an underscore.")
    for name in without_arguments(package):
        log.warning(f"{name} takes arguments and does not describe them: write `Args:`, with shapes and units.")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add ``api/MODULE.md`` for each module, and ``api/index.md`` that lists them.

    Args:
        files: of the site.
        config: of the site.

    Returns:
        The files.
    """
    listed = ["# API", "", "The names that most people need:", "", "::: specvid", ""]
    for name, path in modules().items():
        children = "members: false" if path.name == "__init__.py" and name.count(".") < 2 else "members: true"
        page = f"# {name.removeprefix('specvid.')}\n\n::: {name}\n    options:\n      {children}\n"
        files.append(File.generated(config, f"api/{name}.md", content=page))
    files.append(File.generated(config, "api/index.md", content="\n".join(listed)))
    return files


def on_config(config: MkDocsConfig, **kwargs: Any) -> MkDocsConfig:
    """Put the pages of the API into the navigation, a section a room.

    Args:
        config: of the site.
        **kwargs: Ignored.

    Returns:
        The config.
    """
    sections: dict[str, list[dict[str, str]]] = {}
    for name in modules():
        room, _, rest = name.removeprefix("specvid.").partition(".")
        section = room if room in (*ROOMS, "cli") else "ground"
        sections.setdefault(section, []).append({rest or room: f"api/{name}.md"})
    api: list[Any] = [{"specvid": "api/index.md"}, *({room: pages} for room, pages in sections.items())]
    nav: list[Any] = list(config.nav or [])
    config["nav"] = [{"API": api} if "API" in item else item for item in nav]
    return config

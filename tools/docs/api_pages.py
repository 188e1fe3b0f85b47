"""A page of the API for each public module, made while MkDocs builds the site: a hook of `mkdocs.yml`."""

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("models", "datasets", "eval", "pipelines", "tools")
GROUND = ("errors", "files", "config", "text", "extras")


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


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds `api/MODULE.md` for each module, and `api/index.md` that lists them."""
    listed = ["# API", "", "The names that most people need:", "", "::: specvid", ""]
    for name, path in modules().items():
        children = "members: false" if path.name == "__init__.py" and name.count(".") < 2 else "members: true"
        page = f"# {name.removeprefix('specvid.')}\n\n::: {name}\n    options:\n      {children}\n"
        files.append(File.generated(config, f"api/{name}.md", content=page))
    files.append(File.generated(config, "api/index.md", content="\n".join(listed)))
    return files


def on_config(config: MkDocsConfig, **kwargs: Any) -> MkDocsConfig:
    """Puts the pages of the API into the navigation, a section a room."""
    sections: dict[str, list[dict[str, str]]] = {}
    for name in modules():
        room, _, rest = name.removeprefix("specvid.").partition(".")
        section = room if room in (*ROOMS, "cli") else "ground"
        sections.setdefault(section, []).append({rest or room: f"api/{name}.md"})
    api: list[Any] = [{"specvid": "api/index.md"}, *({room: pages} for room, pages in sections.items())]
    nav: list[Any] = list(config.nav or [])
    config["nav"] = [{"API": api} if "API" in item else item for item in nav]
    return config

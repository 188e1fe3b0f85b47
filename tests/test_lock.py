"""requirements-dev.lock holds what pyproject.toml asks for, in a version that it allows, on every Python it allows."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

try:
    import tomllib
except ImportError:  # Python 3.10
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def asked(extra: str = "") -> Iterator[Requirement]:
    """What the project needs, and one of its extras with those that it names."""
    for text in PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]:
        requirement = Requirement(text)
        if requirement.name == PROJECT["name"]:
            for other in requirement.extras:
                yield from asked(other)
        else:
            yield requirement


def unmet(lock: str, python: str) -> list[str]:
    """What a lock lacks, or has in another version, on Linux with a Python version."""
    place = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
    place |= {"platform_machine": "x86_64", "platform_system": "Linux", "implementation_name": "cpython", "extra": ""}
    pins: dict[str, str] = {}
    for line in lock.splitlines():
        if line and not line.startswith((" ", "#")):
            pin = Requirement(line)
            if pin.marker is None or pin.marker.evaluate(place):
                (version,) = pin.specifier
                assert version.operator == "==" and canonicalize_name(pin.name) not in pins, line
                pins[canonicalize_name(pin.name)] = version.version
    wanted = [*asked(), *asked("dev")]
    missing = [own for own in wanted if own.marker is None or own.marker.evaluate(place)]
    return [str(own) for own in missing if not own.specifier.contains(pins.get(canonicalize_name(own.name), "0.dev0"))]


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.12", "3.13"])
def test_the_lock_satisfies_the_project(python: str) -> None:
    lock = (ROOT / "requirements-dev.lock").read_text()
    assert unmet(lock, python) == []
    assert "://" not in lock  # whoever installs it says from where


def test_a_lock_that_is_behind_is_found() -> None:
    lock = (ROOT / "requirements-dev.lock").read_text().splitlines()
    without = "\n".join(line for line in lock if not line.startswith("safetensors=="))
    assert [text.partition(">")[0] for text in unmet(without, "3.12")] == ["safetensors"]
    old = "\n".join("rich==1.0" if line.startswith("rich==") else line for line in lock)
    assert [text.partition(">")[0] for text in unmet(old, "3.12")] == ["rich"]

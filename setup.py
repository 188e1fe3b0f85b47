"""Discovers the packages: the folders at the root are the subpackages of ``specvid`` (the rest: pyproject.toml)."""

from setuptools import find_packages, setup

FOLDERS = ("models", "datasets", "pipelines", "eval", "tools")

package_dir = {"specvid": "src/specvid"} | {f"specvid.{folder}": folder for folder in FOLDERS}
packages = ["specvid"]
for folder in FOLDERS:
    packages += [f"specvid.{folder}"] + [f"specvid.{folder}.{sub}" for sub in find_packages(folder)]

setup(packages=packages, package_dir=package_dir)

# Two commands matter: `make demo` and `make test`. Both make what they need; both are quick when it stands.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test test-all test-lowest test-newest lock audit lint docs wheel clean

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	# mmaction2 brings OpenCVs that want libGL and share one folder with the one that does not, which therefore comes last
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps opencv-python-headless
	touch $@

demo: $(READY)
	$(BIN)/specvid demo

test: $(READY)
	$(BIN)/pytest -n auto --dist loadfile -m "not slow and not gpu"

test-all: $(READY)
	$(BIN)/pytest -n auto --dist loadfile

# The suite with the lowest and with the newest versions that pyproject.toml allows, each in an environment of its own:
# weekly in CI. `make test-lowest TESTS=tests/cli` runs a part of it.
TESTS ?= tests
UV := .venv-uv/bin/uv

$(UV):
	$(PYTHON) -m venv .venv-uv
	.venv-uv/bin/python -m pip install --quiet uv

test-lowest: RESOLUTION := lowest-direct
test-newest: RESOLUTION := highest
test-lowest test-newest: test-%: $(UV)
	test -x .venv-$*/bin/python || $(UV) venv --quiet --seed --python $(PYTHON) .venv-$*
	$(UV) pip compile --quiet pyproject.toml --extra dev --only-binary :all: --python .venv-$*/bin/python --resolution $(RESOLUTION) --output-file .venv-$*/versions.txt
	$(UV) pip install --quiet --python .venv-$*/bin/python --requirement .venv-$*/versions.txt
	# as for .venv: the one that is wanted of those that share a folder comes last
	grep -E "^opencv-python-headless==" .venv-$*/versions.txt > .venv-$*/last.txt
	$(UV) pip install --quiet --python .venv-$*/bin/python --reinstall --no-deps --requirement .venv-$*/last.txt
	$(UV) pip install --quiet --python .venv-$*/bin/python --no-deps --editable .
	.venv-$*/bin/pytest -n auto --dist loadfile -m "not slow and not gpu" $(TESTS)

# The versions to develop with, on every system and Python that pyproject.toml allows.
lock: $(UV)
	$(UV) pip compile --quiet pyproject.toml --extra dev --universal --python-version 3.10 --upgrade --custom-compile-command "make lock" --output-file requirements-dev.lock

# Known holes in what the lock names; asks a service on the network.
audit: $(UV)
	.venv-uv/bin/python -m pip install --quiet pip-audit
	.venv-uv/bin/pip-audit --strict --requirement requirements-dev.lock --no-deps --disable-pip

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=src $(BIN)/mypy -p specvid
	MYPYPATH=src $(BIN)/mypy hubconf.py
	$(BIN)/lint-imports

# The site: fails on a dead link, an unknown reference, and a public name without a docstring.
docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

wheel: $(READY)
	$(BIN)/python -m build --wheel

clean:
	rm -rf .venv .venv-lowest .venv-newest .venv-uv build dist site src/*.egg-info runs/demo

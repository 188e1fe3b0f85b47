# Two commands matter: `make demo` and `make test`. Both make what they need; both are quick when it stands.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# where decord2 has wheels, as in pyproject.toml; elsewhere PyAV reads everything
DECORD := (sys_platform == 'linux' and (platform_machine == 'x86_64' or platform_machine == 'aarch64')) or (sys_platform == 'darwin' and platform_machine == 'arm64') or (sys_platform == 'win32' and platform_machine == 'AMD64')

.PHONY: demo test test-all lint docs wheel clean

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	# mmaction2 brings OpenCVs that want libGL and share one folder with the one that does not, and the decord of 2021,
	# which shares one with decord2: what is wanted of each comes last
	$(BIN)/python -m pip install --quiet --force-reinstall --no-deps opencv-python-headless "decord2>=3.2; $(DECORD)"
	touch $@

demo: $(READY)
	$(BIN)/specvid demo

test: $(READY)
	$(BIN)/pytest -n auto --dist loadfile -m "not slow and not gpu"

test-all: $(READY)
	$(BIN)/pytest -n auto --dist loadfile

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
	rm -rf .venv build dist site src/*.egg-info runs/demo

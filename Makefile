# make score   create the environment and run the main job on the embedded default
# make test    create the environment and run lint, types and tests
# make bench   create the environment with the peers and measure, an hour and a half: see benchmarks/results
# The first two are quick when nothing changed. PYTHON names another interpreter (3.11 or newer), EXTRAS other extras:
#   make test EXTRAS=test,parity   compares the model ports with PyTorch as well

PYTHON ?= python3
EXTRAS ?= test
BIN := .venv/bin

.PHONY: score test bench clean
.DELETE_ON_ERROR:

score: .venv/installed
	$(BIN)/corticalign score

test: .venv/installed-$(EXTRAS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile

bench:
	$(MAKE) EXTRAS=test,parity .venv/installed-test,parity
	$(BIN)/python -m benchmarks

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "corticalign needs Python 3.11 or newer; name it with make PYTHON=...")'
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/installed-$(EXTRAS): pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	touch .venv/installed $@

clean:
	rm -rf .venv build dist

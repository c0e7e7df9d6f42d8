# make demo | make test | make check | make bench     (each sets itself up in .venv)
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check bench clean

demo: .venv/base
	$(BIN)/python -m pipelines.demo

test: .venv/dev
	$(BIN)/python -m pytest -rs

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

bench: .venv/dev
	$(BIN)/python -m bench --size full

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Gristmill needs Python 3.11 or later: make PYTHON=python3.11 demo")'
	$(PYTHON) -m venv .venv

.venv/base: requirements.txt pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -e .
	touch $@

.venv/dev: requirements-dev.txt .venv/base
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -r requirements-dev.txt
	touch $@

clean:
	rm -rf .venv demo store .bench

# make demo | make test | make check | make bench     (each sets itself up in .venv)
# make extras adds torch, transformers, TRL, lm-eval, math-verify and vLLM's CPU build; without them
# `make test` skips what needs them, and says so. CI=true installs them first.
PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
EXTRAS := .venv/train .venv/eval .venv/synth .venv/vllm
TESTED := .venv/dev $(if $(filter true,$(CI)),$(EXTRAS))

.PHONY: demo test check bench extras clean

demo: .venv/base
	$(BIN)/python -m pipelines.demo

test: $(TESTED)
	$(BIN)/python -m pytest -rs -n $(WORKERS) --dist loadfile

check: $(TESTED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_layers.py

bench: .venv/dev
	$(BIN)/python -m bench --size full

extras: .venv/dev $(EXTRAS)

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

$(EXTRAS): .venv/%: requirements-%.txt .venv/base
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -r requirements-$*.txt
	touch $@

clean:
	rm -rf .venv demo store .bench

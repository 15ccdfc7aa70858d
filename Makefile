# `make demo` runs the main job; `make test` checks everything. Both set up .venv first.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test experiments clean

demo: .venv/.installed
	$(BIN)/raytune-pipe launch experiments/pbt_resnet.yaml --new --analyze

test: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest

experiments: .venv/.installed
	for file in experiments/*.yaml; do $(BIN)/raytune-pipe launch $$file --new --analyze || exit; done

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(INSTALL) --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv

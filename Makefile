# `make demo` runs the main job; `make test` checks everything; `make faults` injects every fault at
# length (docs/reliability.md). All set up .venv first. `make audit` asks a vulnerability database
# about the pinned packages and about the oldest ones that are allowed (docs/security.md).
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

FAULTS := random_trials fault_decisions fault_poison fault_phases faults storage_faults bit_flips \
	ownership readers journal_scale plain_ray_faults

.PHONY: demo test faults experiments audit clean

demo: .venv/.installed
	$(BIN)/raytune-pipe launch experiments/pbt_resnet.yaml --new --analyze

test: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest --numprocesses 2 --dist loadgroup

faults: .venv/.installed-dev
	$(BIN)/pytest tests/faults
	for name in $(FAULTS); do echo "# $$name"; $(BIN)/python -m benchmarks.$$name || exit; done

experiments: .venv/.installed
	for file in experiments/*.yaml; do $(BIN)/raytune-pipe launch $$file --new --analyze || exit; done

# Strict, since a package that the database cannot be asked about is otherwise passed over.
audit: .audit/.installed
	.audit/bin/uv pip compile --quiet --resolution lowest-direct --extra cluster --extra images --extra optuna \
		--output-file .audit/floors.txt pyproject.toml
	for list in constraints.txt .audit/floors.txt; do echo "# $$list"; \
		.audit/bin/pip-audit --strict --no-deps --disable-pip --requirement $$list || exit; done

.audit/.installed:
	$(PYTHON) -m venv .audit
	.audit/bin/pip install --quiet --disable-pip-version-check pip-audit uv
	touch $@

.venv/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(INSTALL) --editable .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(INSTALL) --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .audit

# Everything a developer needs. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SETUP := $(VENV)/.setup-done

.PHONY: help setup run demo test check proto bench models second-look fmt lock clean

help: ## Shows this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

setup: $(SETUP) ## Makes .venv with the pinned packages and the parts of this repository.

$(SETUP): requirements.lock pyproject.toml proto/pyproject.toml clients/python/pyproject.toml guardrails/models/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Bartizan needs Python 3.11 or later; say which with make PYTHON=python3.12")'
	@echo "Installing into $(VENV); this takes some minutes."
	@$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable proto --editable clients/python --editable guardrails/models --editable .
	@touch $@

run: setup ## Starts the server on its embedded PostgreSQL, in .bartizan/.
	$(BIN)/bartizan serve --data-dir .bartizan

demo: setup ## Shows agents at work on a server of its own, live; leaves nothing behind.
	$(BIN)/bartizan demo

test: setup ## Runs the whole suite, two files at a time.
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: setup ## Checks style, types, import directions, the contract and the committed stubs.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy clients/python/bartizan plugins/bartizan guardrails/bartizan alerts/bartizan server/bartizan tests
	$(BIN)/lint-imports
	$(BIN)/codespell
	cd proto && ../$(BIN)/buf lint && ../$(BIN)/buf format --diff --exit-code
	$(MAKE) --no-print-directory proto
	git diff --exit-code -- proto

proto: ## Regenerates the stubs in proto/ from the contract.
	scripts/proto.sh

bench: setup ## Measures speed and memory; appends to bench-results.jsonl.
	$(BIN)/python -m tests.bench

models: setup ## Trains the models of the guardrails anew, from the data in DATA.
	$(BIN)/python -m bartizan.guardrails.training $(DATA)
	$(BIN)/python -m bartizan.guardrails.training.topics $(DATA)

second-look: setup ## Trains the model of the second look anew, from DATA and the folder ENCODER; needs torch, onnx, safetensors.
	$(BIN)/python -m bartizan.guardrails.training.second_build $(DATA) $(ENCODER)

fmt: setup ## Formats and sorts.
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	cd proto && ../$(BIN)/buf format --write

lock: ## Pins today's versions of every dependency into requirements.lock.
	uv pip compile --quiet --python-version 3.11 --universal --no-emit-index-url --no-annotate --no-header --generate-hashes \
		--group dev --no-emit-package bartizan-proto --no-emit-package bartizan-client --no-emit-package bartizan-models \
		--output-file requirements.lock pyproject.toml proto/pyproject.toml clients/python/pyproject.toml

clean: ## Removes what setup and the tools made, but no data.
	rm -rf $(VENV) .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis

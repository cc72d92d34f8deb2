# Two commands do everything: `make run` and `make test`.  `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -q
# Older majors that programs still use, each installed beside the current one.
OLD_SDKS := openai-2 anthropic-0.40 anthropic-0.75
# The files of tests are shared out among so many processes, in their order.
JOBS   ?= 2
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help run run-local test check format docs bench bench-peers bench-workers soak chaos fuzz lock sbom audit clean

help: ## List what make can do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.run ## Set up, start the gateway on port 11434 and print a curl that works (simulator when there is no key)
	@$(BIN)/dragoman serve --demo-without-key

run-local: $(VENV)/.run ## The same on port 8000 with the Ollama of this machine behind it
	@$(BIN)/dragoman serve --preset local

test: check ## Set up, then lint, types and every test
	DRAGOMAN_EXPECT_OPENAI=3 DRAGOMAN_EXPECT_ANTHROPIC=2 $(PYTEST)
	DRAGOMAN_EXPECT_OPENAI=2 PYTHONPATH=.sdks/openai-2 $(PYTEST) \
	  tests/sdks/test_openai_sdk*.py tests/matrix/test_matrix_openai.py
	for version in 0.40 0.75; do DRAGOMAN_EXPECT_ANTHROPIC=$$version PYTHONPATH=.sdks/anthropic-$$version \
	  $(BIN)/python -m pytest tests/matrix/test_matrix_anthropic.py || exit 1; done

check: $(VENV)/.dev ## Lint and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m deploy.packages

format: $(VENV)/.dev ## Rewrite the source in the one style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.dev ## Write the tables of the documentation anew, from the code
	$(BIN)/python -m tests.docs.tables

bench: $(VENV)/.dev ## Measure dragoman beside nginx (and LiteLLM after `make bench-peers`)
	$(BIN)/python -m bench

bench-workers: $(VENV)/.dev ## Measure what a second worker is worth (needs wrk and nginx)
	$(BIN)/python -m bench.workers

soak: $(VENV)/.dev ## A thousand streams at once through one worker, for ten minutes (minutes=1: less)
	$(BIN)/python -m bench.soak --minutes $(or $(minutes),10)

chaos: $(VENV)/.dev ## Servers that break in every way, at random, for two minutes (seconds=20: less)
	$(BIN)/python -m bench.chaos --seconds $(or $(seconds),120)

fuzz: $(VENV)/.dev ## Hostile input by the million, two minutes for each of the targets (seconds=30: less)
	@$(BIN)/python -c 'import sys; sys.path.insert(0, ".fuzzers"); import atheris' 2>/dev/null || \
	  $(PIP) install --no-deps --target .fuzzers atheris==3.0.0 || echo 'atheris could not be installed'
	$(BIN)/python -m fuzz.by_document --examples 300
	PYTHONPATH=.fuzzers $(BIN)/python -m fuzz --seconds $(or $(seconds),120)

bench-peers: ## Install LiteLLM into .venv-peers, for `make bench`
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip --disable-pip-version-check -q install 'litellm[proxy]==1.106.2'

lock: ## Resolve the dependencies again (needs uv)
	uv pip compile pyproject.toml requirements/build.in --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url -q -o requirements/run.lock
	uv pip compile pyproject.toml requirements/build.in --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url -q -o requirements/dev.lock -c requirements/run.lock
	uv pip compile pyproject.toml requirements/build.in --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url -q -o requirements/image.lock -c requirements/dev.lock
	for sdk in $(OLD_SDKS); do \
	  uv pip compile requirements/$$sdk.in --no-deps --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-annotate --no-emit-index-url -q -o requirements/$$sdk.lock || exit 1; done

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: PYTHON=python3.12 make ...")'
	@# What is there after a failure (Debian without python3-venv) would be taken for an environment next time.
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.run: requirements/run.lock pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements/run.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.lock $(OLD_SDKS:%=requirements/%.lock) pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements/dev.lock
	for sdk in $(OLD_SDKS); do \
	  $(PIP) install --no-deps --require-hashes -r requirements/$$sdk.lock --target .sdks/$$sdk --upgrade || exit 1; done
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.run

sbom: $(VENV)/.dev ## Write the bill of materials anew, from the lock file
	$(BIN)/python -m deploy.packages --sbom

audit: ## Ask the public databases for known weaknesses of what is locked (needs the network)
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip --disable-pip-version-check -q install pip-audit
	.venv-audit/bin/pip-audit --disable-pip --require-hashes -s osv -r requirements/run.lock

clean: ## Remove everything that was set up
	rm -rf $(VENV) .fuzzers .venv-peers .venv-audit .sdks .mypy_cache .ruff_cache .pytest_cache .hypothesis

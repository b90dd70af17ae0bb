# Everything a person needs: `make run` opens the application, `make test` runs the tests.
# Both begin with `make setup`, which is quick when nothing has changed.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup run test lint format check clean

setup: $(STAMP)
	@:

# Set PYTHON to choose an interpreter; otherwise the first of these that is 3.11 or newer.
# What is installed is written to stderr, so that the output of `make run` is the application's own.
$(STAMP): pyproject.toml constraints.txt
	@set -e; { \
	if ! $(BIN)/python -c 'import pip' 2>/dev/null; then \
		found=; \
		for python in $(PYTHON) python3 python3.11 python3.12 python3.13 python; do \
			if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
				found=$$python; break; \
			fi; \
		done; \
		if [ -z "$$found" ]; then \
			echo 'Latent Studio needs Python 3.11 or newer: install it, or name it with make PYTHON=/path/to/python3.'; \
			exit 1; \
		fi; \
		if ! "$$found" -c 'import ensurepip, venv' 2>/dev/null; then \
			echo "$$found cannot make virtual environments: install its venv module (Debian, Ubuntu: apt install python3-venv)."; \
			exit 1; \
		fi; \
		"$$found" -m venv $(VENV); \
	fi; \
	echo 'Installing Latent Studio into $(VENV); the first time takes some minutes.'; \
	if [ -t 2 ]; then quiet=; else quiet=-qq; fi; \
	$(BIN)/python -m pip install $$quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'; \
	touch $@; \
	} >&2

run: setup
	@$(BIN)/latent-studio

test: setup
	@QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest

lint: setup
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports

format: setup
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

check:
	@.ci/run

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache

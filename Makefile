# Every target installs what it needs into .venv; a second run starts at once.
# ARGS is passed on: make demo ARGS="--help", make test ARGS="-k masks".

.DEFAULT_GOAL := help
.PHONY: help setup demo check test test-all bench docs constraints clean

BIN := .venv/bin
INSTALL := @sh setup/install.sh
# One thread per test process: the tests are many and small.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

help:         ## show this list
	@grep -hE '^[a-z-]+: *##' $(MAKEFILE_LIST) | sed -e 's/: *## */	/' | expand -t 14

setup:        ## install everything for development
	$(INSTALL) test,data,science,bench,docs

demo:         ## train, evaluate, sample, complete and verify on embedded digits (2 minutes)
	$(INSTALL)
	@$(BIN)/pixelcnn demo $(ARGS)

check:        ## formatting, lint, types, import order, spelling
	$(INSTALL) test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

test:         ## fast tests (5 to 11 minutes on 2 cores)
	$(INSTALL) test,data,science
	$(PYTEST) -m "not slow" $(ARGS)

test-all:     ## all tests, trainings, fresh environments and a minute of each attack too
	$(INSTALL) test,data,science
	$(PYTEST) $(ARGS)

bench:        ## how fast this machine trains, scores and samples
	$(INSTALL) bench
	@$(BIN)/python -m benchmarks $(ARGS)

docs:         ## build the documentation into site/; warnings are errors
	$(INSTALL) docs
	$(BIN)/mkdocs build --strict  # --quiet would keep warnings from --strict

constraints:  ## write constraints.txt anew from what .venv holds
	sh setup/constraints.sh

clean:        ## remove everything that was built (keeps runs/)
	rm -rf .venv .bench site dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# make demo · make test · make bench. The environment is built when it is missing or its requirements changed.
#
#   PYTHON   the interpreter that creates .venv (default: python3.11 if there is one, else python3)
#   JOBS     parallel test workers (default: the number of processors)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:

PYTHON ?= $(shell command -v python3.11 || command -v python3)
JOBS ?= $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
BIN := .venv/bin
STAMP := .venv/.stamp
# Links into swkpu/ and directories without Python are left out.
SOURCES := swkpu test

.PHONY: help venv demo test lint format types lit unit e2e bench performance compare clean

help:
	@echo "make venv    create .venv with everything needed"
	echo "make demo    calibrate, compile and run resnet18 for kpu-t64 at int8"
	echo "make test    lint, types, lit, unit and end-to-end tests, with a summary"
	echo "make lint | format | types | lit | unit | e2e    one of them"
	echo "make bench   the benchmarks"
	echo "make performance   measure schedules and compile time, and render docs/performance.md"
	echo "make compare   the same of Vela, SCALE-Sim and ZigZag beside ours"
	echo "make clean   remove what builds and tests leave behind (not .venv)"

venv: $(STAMP)

# torch first: it is by far the largest, and the rest is quick to redo.
$(STAMP): pyproject.toml constraints.txt
	@[ -x $(BIN)/python ] || "$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep '^torch==' constraints.txt)" -c constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test,image]' -c constraints.txt
	touch $@

demo: $(STAMP)
	@$(BIN)/swkpu demo

# Every step runs even when an earlier one failed; the summary names them all, and the exit code is 1 if any failed.
test: $(STAMP)
	@failed=0
	summary=""
	for step in lint types lit unit e2e; do
	  echo "== $$step"
	  start=$$SECONDS
	  if $(MAKE) --no-print-directory $$step; then result=passed; else result=FAILED; failed=1; fi
	  summary+=$$(printf '%-6s %s (%d s)' $$step $$result $$((SECONDS - start)))$$'\n'
	done
	echo "== summary"
	printf '%s' "$$summary"
	exit $$failed

lint: $(STAMP)
	@$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

format: $(STAMP)
	@$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

types: $(STAMP)
	@$(BIN)/basedpyright

lit: $(STAMP)
	@$(BIN)/lit -j $(JOBS) --order=lexical -sv test/lit

# Models take gigabytes each, so the end-to-end tests run fewer at a time. Exit code 5 means that there are no tests.
unit: $(STAMP)
	@$(BIN)/python -m pytest -q -n $(JOBS) test/unit || [ $$? -eq 5 ]

e2e: $(STAMP)
	@$(BIN)/python -m pytest -q -n $$(( $(JOBS) < 2 ? 1 : $(JOBS) / 2 )) test/e2e || [ $$? -eq 5 ]

# The other toolchains that ours is compared with are for benchmarks only.
bench: $(STAMP)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]' -c constraints.txt
	$(BIN)/python -m benchmarks

# Goals that are missed are in the page; they do not stop the rest.
performance: $(STAMP)
	@bench() { $(BIN)/python -m benchmarks "$$@" || [ $$? -eq 1 ]; }
	bench schedules --json docs/schedules.json
	bench schedules --precision bf16 --json docs/schedules_bf16.json
	bench schedules --batch 8 --json docs/schedules_batch8.json
	bench compile_growth --json docs/compile_growth.json --plot docs/compile_growth.svg
	$(BIN)/python docs/generate.py docs/performance.md

# The tools of others are installed in benchmarks/.envs when they are first asked for.
compare: $(STAMP)
	@bench() { $(BIN)/python -m benchmarks "$$@" || [ $$? -eq 1 ]; }
	bench vela --json docs/vela.json
	bench scalesim --json docs/scalesim.json
	bench zigzag --json docs/zigzag.json
	$(BIN)/python docs/generate.py docs/performance.md

clean:
	@rm -rf build dist out swkpu.egg-info .pytest_cache .ruff_cache .hypothesis
	find swkpu test benchmarks examples -name __pycache__ -prune -exec rm -rf {} +
	find test -name Output -prune -exec rm -rf {} +
	find test -name .lit_test_times.txt -delete

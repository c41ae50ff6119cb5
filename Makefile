# RMPE and SPM for MMPose. "make" lists the commands.

PYTHON ?= python3
# LITE=1: mmcv without its compiled operators, in an environment of its own.
LITE ?=
lite := $(filter-out 0,$(LITE))
VENV := .venv$(if $(lite),-lite)
RUN := $(VENV)/bin/python
TEST_JOBS ?= 2

.PHONY: help env demo test lint

help:
	@echo 'make demo   train, evaluate and draw both methods on generated pictures'
	@echo 'make test   run the test suite'
	@echo 'make lint   check the style'
	@echo 'make env    make the environment only (the others do it themselves)'
	@echo
	@echo 'LITE=1            without a compiler (mmcv-lite; Python 3.10, 3.11)'
	@echo 'PYTHON=python3.11 the interpreter: 3.10, 3.11 or 3.12'
	@echo "ARGS='...'        passed on, e.g. make test ARGS='tests/test_codecs'"

env:
	@$(PYTHON) tools/setup_environment.py $(if $(lite),--lite)

demo: env
	@$(RUN) tools/demo.py $(ARGS)

# One thread a process: the tests run beside one another.
test: env
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(TEST_JOBS) $(ARGS)

lint: env
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

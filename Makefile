# RMPE and SPM for MMPose. "make" lists the commands.

PYTHON ?= python3
# FULL=1: mmcv with its compiled operators, in an environment of its own.
FULL ?=
full := $(filter-out 0,$(FULL))
RUN := .venv$(if $(full),-full)/bin/python
TEST_JOBS ?= 2

.PHONY: help env demo test lint

help:
	@echo 'make demo   find people in photographs; train, test and draw both methods'
	@echo 'make test   run the test suite'
	@echo 'make lint   check the style'
	@echo 'make env    make the environment only (the others do it themselves)'
	@echo
	@echo 'FULL=1            with all of mmcv: its operators are compiled'
	@echo 'PYTHON=python3.11 the interpreter: 3.10, 3.11 or 3.12'
	@echo "ARGS='...'        passed on, e.g. make test ARGS='tests/spm'"

env:
	@$(PYTHON) tools/setup_environment.py $(if $(full),--full)

demo: env
	@$(RUN) tools/demo.py $(ARGS)

# One thread a process: the tests run beside one another.
test: env
	@OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(TEST_JOBS) $(ARGS)

lint: env
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

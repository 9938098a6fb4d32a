# One verb per task. Every target makes the virtual environment it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SAMPLE := tests/data/sample_dataset

.PHONY: quickstart test test-all style bench docs clean

quickstart: $(VENV)/installed  ## show something real: list, show, validate and rank the sample dataset
	$(BIN)/flashinfer-bench list --local $(SAMPLE)
	$(BIN)/flashinfer-bench show gqa_paged_decode_h4_kv2_d16_ps1 --local $(SAMPLE)
	$(BIN)/flashinfer-bench validate --dataset $(SAMPLE)
	$(BIN)/flashinfer-bench report summary --local $(SAMPLE)

test: $(VENV)/installed-dev style  ## style, types and the quick tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n auto

test-all: $(VENV)/installed-dev style  ## everything
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto

style: $(VENV)/installed-dev  ## formatting, lint, types, generated documentation and definitions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check
	$(BIN)/python flashinfer_trace/generate.py --check

bench: $(VENV)/installed-dev  ## the benchmarks whose numbers we report
	$(BIN)/python benchmarks/traceset.py
	$(BIN)/python benchmarks/references.py

docs: $(VENV)/installed-dev  ## rewrite what is generated of documentation and definitions
	$(BIN)/python docs/generate.py
	$(BIN)/python flashinfer_trace/generate.py

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install -q -c constraints.txt -e ".[dev]"
	touch $@

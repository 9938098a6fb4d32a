# One verb per task. Every target makes the virtual environment it needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WEB := web/node_modules/.installed

.PHONY: quickstart test test-all style bench docs models clean

quickstart: $(VENV)/installed  ## add a model: its tree, its kernels' definitions and its block in models.ts
	$(BIN)/claude-code run add-new-model --model-name kimi-k2 --hf-repo-id moonshot-ai/kimi-k2

test: $(VENV)/installed-dev $(WEB) style  ## style, types and the quick tests
	OMP_NUM_THREADS=1 $(BIN)/pytest -m "not slow" -n auto

test-all: $(VENV)/installed-dev $(WEB) style  ## everything
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto

style: $(VENV)/installed-dev  ## formatting, lint, types, generated documentation and definitions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check
	$(BIN)/python flashinfer_trace/generate.py --check
	$(BIN)/claude-code check

bench: $(VENV)/installed-dev  ## the benchmarks whose numbers we report
	$(BIN)/python benchmarks/traceset.py
	$(BIN)/python benchmarks/references.py

docs: $(VENV)/installed-dev  ## rewrite what is generated of documentation and definitions
	$(BIN)/python docs/generate.py
	$(BIN)/python flashinfer_trace/generate.py
	$(BIN)/claude-code check --fix

models: $(VENV)/installed-dev  ## rewrite the models that the web pages ship with
	$(BIN)/python web/generate_models.py

clean:
	rm -rf $(VENV) web/node_modules .mypy_cache .pytest_cache .ruff_cache

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e ".[models]"
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/pip install -q -c constraints.txt -e ".[dev]"
	touch $@

$(WEB): web/package.json web/apps/web/package.json
	@if command -v npm >/dev/null; then npm install --prefix web --silent --no-fund --no-audit; \
	else echo "no npm: TypeScript is not checked" >&2; mkdir -p $(@D); fi
	touch $@

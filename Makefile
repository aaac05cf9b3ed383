# Two commands: `make demo` and `make test`. Each sets up all that it needs by itself in .venv.
# `make test-all` adds the tests that take long, `make test-loaded` runs on a machine kept busy.

BIN := .venv/bin
SETUP := scripts/setup.sh

# Test processes side by side: `make test WORKERS=4` on a machine with more memory and cores.
WORKERS := 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.PHONY: demo test test-slow test-all test-loaded lint clean

demo:
	@sh $(SETUP) demo
	$(BIN)/napari-ulm3d demo --out demo-results

test: lint
	$(PYTEST) -m "not slow"

test-slow:
	@sh $(SETUP) test
	$(PYTEST) -m slow

test-all: test test-slow

# What passes on a quiet machine only is wrong: the quick tests beside a loop that holds one core.
test-loaded:
	@sh $(SETUP) test
	@$(BIN)/python -c 'while True: pass' & busy=$$!; trap "kill $$busy" EXIT INT TERM; \
	$(PYTEST) -m "not slow"

lint:
	@sh $(SETUP) test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

clean:
	rm -rf .venv demo-results

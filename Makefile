# Two commands: `make demo` and `make test`. Each sets up all that it needs by itself in .venv.
# `make test-slow` and `make test-long` run the tests that take longer, `make test-all` all of them,
# `make test-loaded` the quick ones on a machine kept busy.

BIN := .venv/bin
SETUP := scripts/setup.sh

# Test processes side by side: `make test WORKERS=4` on a machine with more memory and cores.
WORKERS := 2
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

.PHONY: demo test test-slow test-long test-all test-loaded lint clean

demo:
	@sh $(SETUP) demo
	$(BIN)/napari-ulm3d demo --out demo-results

test: lint
	$(PYTEST) -m "not slow"

test-slow:
	@sh $(SETUP) test
	$(PYTEST) -m "slow and not long"

test-long:
	@sh $(SETUP) test
	$(PYTEST) -m long

test-all: test test-slow test-long

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

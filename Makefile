# Two commands: `make demo` and `make test`. Each sets up all that it needs by itself in .venv.

BIN := .venv/bin
SETUP := scripts/setup.sh

.PHONY: demo test lint clean

demo:
	@sh $(SETUP) demo
	$(BIN)/napari-ulm3d demo --out demo-results

test:
	@sh $(SETUP) test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	sh scripts/with-display.sh $(BIN)/python -m pytest

clean:
	rm -rf .venv demo-results

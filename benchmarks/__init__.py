"""Numbers for docs/benchmarks.md: each module prints a table."""

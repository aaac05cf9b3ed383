"""Commands that measure the results of a run."""

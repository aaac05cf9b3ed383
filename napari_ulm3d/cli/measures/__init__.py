"""Commands that measure what a run found."""

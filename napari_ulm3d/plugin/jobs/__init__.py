"""Background work: progress, cancelling, results."""

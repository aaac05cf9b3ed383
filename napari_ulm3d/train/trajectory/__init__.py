"""Training of the paper's trajectory networks."""

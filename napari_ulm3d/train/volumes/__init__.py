"""Training of the networks on whole volumes."""

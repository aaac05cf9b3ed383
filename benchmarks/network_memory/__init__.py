"""Memory of the networks, dense and sparse."""

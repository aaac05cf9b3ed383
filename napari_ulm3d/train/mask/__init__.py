"""Training of the mask network."""

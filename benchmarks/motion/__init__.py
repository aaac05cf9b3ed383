"""Motion of the tissue, found again, and the maps with and without correction."""

"""The tables of Rauby et al. on our scenes."""

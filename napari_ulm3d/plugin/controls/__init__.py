"""Building blocks for panels: controls for single settings, forms, plots and tables."""

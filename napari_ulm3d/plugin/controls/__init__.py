"""Building blocks of panels: one control a setting, forms, plots, tables."""

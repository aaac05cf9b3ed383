"""State shared by the panels, and results of runs; independent of the viewer."""

"""Shapes that the user draws: kept in view and told apart from what napari moves."""

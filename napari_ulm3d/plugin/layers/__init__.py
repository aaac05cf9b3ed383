"""Value objects to napari layers, and back."""

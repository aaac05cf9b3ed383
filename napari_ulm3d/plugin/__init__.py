"""The napari plugin: the only folder that imports napari or Qt."""

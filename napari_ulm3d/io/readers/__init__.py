"""The file formats, one a file; `napari_ulm3d.io.registry` finds every `READER` in here."""

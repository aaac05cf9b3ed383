"""The file formats, one a file; `napari_ulm3d.io.reading.registry` finds every `READER` in here."""

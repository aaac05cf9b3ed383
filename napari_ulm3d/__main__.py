"""`python -m napari_ulm3d` is the command line."""

from napari_ulm3d.cli import script

if __name__ == "__main__":
    script()

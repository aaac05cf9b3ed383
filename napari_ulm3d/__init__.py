"""3-D ultrasound localization microscopy, from a lab's files to tracks and vessel maps.

The public names below are imported when first used: `import napari_ulm3d` alone
loads neither torch nor Qt nor napari.
"""

from __future__ import annotations

__version__ = "0.1.0"

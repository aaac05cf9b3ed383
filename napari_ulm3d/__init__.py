"""3-D ultrasound localization microscopy, from a lab's files to tracks and vessel maps.

The public names below are imported when first used: `import napari_ulm3d` alone
loads neither torch nor Qt nor napari.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ulm3d._lazy import lazily
from napari_ulm3d._version import __version__ as __version__

# Public name -> module that defines it.
_PUBLIC = {
    "Acquisition": "acquisition",
    "Grid": "acquisition",
    "Localizations": "tables",
    "PipelineConfig": "config",
    "RefinedMap": "refinement",
    "ResultsFolder": "io.results",
    "Run": "pipeline",
    "SparseFrames": "sparse_frames",
    "Tracks": "tables",
    "UlmError": "errors",
    "VesselGraph": "vasculature",
    "VesselMap": "volumes",
    "accumulate": "maps",
    "describe": "io",
    "intervals": "maps",
    "open_acquisition": "io",
    "refine": "refinement",
    "run": "pipeline",
    "run_events": "pipeline",
    "study": "studies",
    "vessels": "vasculature",
    "write": "io.writers",
}

__all__ = ["__version__", *_PUBLIC]

if TYPE_CHECKING:
    from napari_ulm3d.acquisition import Acquisition as Acquisition
    from napari_ulm3d.acquisition import Grid as Grid
    from napari_ulm3d.config import PipelineConfig as PipelineConfig
    from napari_ulm3d.errors import UlmError as UlmError
    from napari_ulm3d.io import describe as describe
    from napari_ulm3d.io import open_acquisition as open_acquisition
    from napari_ulm3d.io.results import ResultsFolder as ResultsFolder
    from napari_ulm3d.io.writers import write as write
    from napari_ulm3d.maps import accumulate as accumulate
    from napari_ulm3d.maps import intervals as intervals
    from napari_ulm3d.pipeline import Run as Run
    from napari_ulm3d.pipeline import run as run
    from napari_ulm3d.pipeline import run_events as run_events
    from napari_ulm3d.refinement import RefinedMap as RefinedMap
    from napari_ulm3d.refinement import refine as refine
    from napari_ulm3d.sparse_frames import SparseFrames as SparseFrames
    from napari_ulm3d.studies import study as study
    from napari_ulm3d.tables import Localizations as Localizations
    from napari_ulm3d.tables import Tracks as Tracks
    from napari_ulm3d.vasculature import VesselGraph as VesselGraph
    from napari_ulm3d.vasculature import vessels as vessels
    from napari_ulm3d.volumes import VesselMap as VesselMap


__getattr__ = lazily(globals(), _PUBLIC)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

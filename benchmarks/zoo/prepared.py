"""A scene as prepared by the pipeline: calibrated, filtered, on its working grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from benchmarks.scenes import Scene
from napari_ulm3d.calibrate import calibrate, chosen_length, shares_removed
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline.blocks import filter_block, resolved
from napari_ulm3d.pipeline.plan import BlockPlan

__all__ = ["Prepared"]


@dataclass(frozen=True)
class Prepared:
    """The plan of a run, and the frames used for localization.

    Attributes
    ----------
    scene
        The scene with its acquisition.
    plan
        Resolved settings, PSF and working grid.
    """

    scene: Scene
    plan: BlockPlan

    @classmethod
    def of(cls, scene: Scene, config: PipelineConfig) -> Prepared:
        """Calibrate as in a run."""
        acquisition = scene.acquisition
        config = chosen_length(shares_removed, acquisition, config).of(config)
        calibration = calibrate(acquisition, config)
        blocks = acquisition.blocks(config.load.block_frames)
        settings = resolved(config, calibration, blocks)
        return cls(scene, BlockPlan(acquisition, settings, calibration.psf, (), calibration))

    @cached_property
    def frames(self) -> NDArray[np.complex64]:
        """All filtered frames on the acquisition's grid."""
        acquisition, config = self.plan.acquisition, self.plan.config
        blocks = acquisition.blocks(config.load.block_frames)
        return np.concatenate([filter_block(b, acquisition, config).frames for b in blocks])

    @cached_property
    def working_frames(self) -> NDArray[np.complex64]:
        """The same on the working grid."""
        assert self.plan.calibration is not None
        return self.plan.calibration.working.frames(self.frames)

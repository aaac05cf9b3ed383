"""The plan of a run: everything that the work on its blocks depends on, made once, then carried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from napari_ulm3d.acquisition import Acquisition, Block, Grid
from napari_ulm3d.calibrate import Calibration
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.filtering import Psf
from napari_ulm3d.networks.shipped import weights_facts
from napari_ulm3d.networks.weights import WeightsCard

__all__ = ["BlockPlan", "UsedWeights"]


@dataclass(frozen=True)
class UsedWeights:
    """A weights file that a run uses.

    Attributes
    ----------
    role
        What for: ``localizer`` or ``sparsify``.
    path, sha256, card
        The file, its hash, and what it says of itself.
    more
        What else the run's record should say of it.
    """

    role: str
    path: Path
    sha256: str
    card: WeightsCard
    more: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """What `run.toml` says of it."""
        return weights_facts(self.path, self.sha256, self.card) | dict(self.more)


@dataclass(frozen=True)
class BlockPlan:
    """How every block of a run is worked on. It can be pickled: workers are sent one.

    Attributes
    ----------
    acquisition
        What the blocks are parts of.
    config
        Settings of all stages.
    psf
        The point-spread function of the whole acquisition.
    weights
        The weights files that the localizer uses, its own first; none for conventional ones.
    calibration
        What was measured; `psf` is on its working grid, and `config` says in numbers what the
        settings left to the data. None: nothing was measured, and the grid is the acquisition's.
    """

    acquisition: Acquisition
    config: PipelineConfig
    psf: Psf
    weights: tuple[UsedWeights, ...] = ()
    calibration: Calibration | None = None

    @property
    def grid(self) -> Grid:
        """The grid that bubbles are localized on."""
        return self.acquisition.grid if self.calibration is None else self.calibration.working.grid

    def only(self, block: Block) -> BlockPlan:
        """The plan as one block needs it (`Acquisition.only`)."""
        return replace(self, acquisition=self.acquisition.only(block))

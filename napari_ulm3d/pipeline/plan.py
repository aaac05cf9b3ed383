"""The plan of a run: everything that processing its blocks depends on, determined once."""

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
        Its use: ``localizer`` or ``sparsify``.
    path, sha256, card
        The file, its hash and its card.
    more
        Further facts for the record of the run.
    """

    role: str
    path: Path
    sha256: str
    card: WeightsCard
    more: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Its entry in `run.toml`."""
        return weights_facts(self.path, self.sha256, self.card) | dict(self.more)


@dataclass(frozen=True)
class BlockPlan:
    """How every block of a run is processed. It can be pickled, to be sent to workers.

    Attributes
    ----------
    acquisition
        The acquisition that the blocks belong to.
    config
        Settings of all stages.
    psf
        The point-spread function of the whole acquisition.
    weights
        Weights files of the localizer, its own first; empty for conventional localizers.
    calibration
        The calibration; `psf` is on its working grid, and `config` contains its numbers in place
        of automatic settings. None: nothing was measured, and the grid is the acquisition's.
    """

    acquisition: Acquisition
    config: PipelineConfig
    psf: Psf
    weights: tuple[UsedWeights, ...] = ()
    calibration: Calibration | None = None

    @property
    def grid(self) -> Grid:
        """The grid on which bubbles are localized."""
        return self.acquisition.grid if self.calibration is None else self.calibration.working.grid

    def only(self, block: Block) -> BlockPlan:
        """The plan for a single block (`Acquisition.only`)."""
        return replace(self, acquisition=self.acquisition.only(block))

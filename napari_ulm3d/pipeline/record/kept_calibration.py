"""A calibration stored with a run, so that resuming does not measure again.

It is reused if its settings, the files that were measured, and those that should have been
measured but could not be read are unchanged. If other files have changed, only their blocks are
processed again. A resumed run therefore ends like a new one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._version import __version__
from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.calibrate import BlockLength, Calibration, Finding, WorkingGrid
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import UlmError
from napari_ulm3d.filtering import Psf
from napari_ulm3d.provenance import source_fingerprint

__all__ = ["KeptCalibration", "calibration_key"]

_SECTIONS = ("load", "calibrate", "clutter", "psf", "motion", "localize")
_FACTORS = ("factor_z", "factor_y", "factor_x")

_LAYOUT = 2
"""Of `KeptCalibration.arrays`; a calibration with another layout is measured again."""


def calibration_key(acquisition: Acquisition, config: PipelineConfig) -> str:
    """Hash of all that a calibration depends on, except the frames and the block length."""
    values = config.model_dump(mode="json")
    del values["load"]["frames_per_block"]
    text = json.dumps(
        [
            __version__,
            _LAYOUT,
            [values[name] for name in _SECTIONS],
            [[source.name, *source.shape, str(source.dtype)] for source in acquisition.sources],
            asdict(acquisition.grid),
            [acquisition.rate_hz, acquisition.kind, acquisition.wavelength_um],
        ],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class KeptCalibration:
    """A calibration and the files that it was measured on.

    Attributes
    ----------
    length
        Length of the blocks.
    limits
        Limits for this length: the setting, and the most frames that memory allowed.
    sources
        Fingerprints of the files that were, or should have been, measured, by index; empty if a
        file could not be read.
    """

    calibration: Calibration
    length: BlockLength
    limits: tuple[int | None, int | None]
    sources: Mapping[int, str]

    @classmethod
    def of(
        cls,
        calibration: Calibration,
        length: BlockLength,
        limits: tuple[int | None, int | None],
        blocks: Sequence[Block],
        wanted: Sequence[int],
        acquisition: Acquisition,
    ) -> KeptCalibration:
        """Add the fingerprints of the files whose blocks were measured or `wanted`."""
        numbers = {id(source): n for n, source in enumerate(acquisition.sources)}
        used = {numbers[id(blocks[k].source)] for k in (*calibration.measured_on, *wanted)}
        return cls(
            calibration, length, limits, {n: _fingerprint(acquisition, n) for n in sorted(used)}
        )

    def still_of(self, acquisition: Acquisition, limits: tuple[int | None, int | None]) -> bool:
        """Whether the files are unchanged and the blocks would have the same length.

        The record of a run contains the chosen length, so resuming may give it explicitly.
        """
        if limits != self.limits and limits[0] != self.length.frames:
            return False
        return all(_fingerprint(acquisition, n) == digest for n, digest in self.sources.items())

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything as arrays of numbers and text."""
        psf, working = self.calibration.psf, self.calibration.working
        facts = {
            "frames": self.length.frames,
            "length": asdict(self.length.finding) if self.length.finding else None,
            "limits": list(self.limits),
            "sources": [[n, digest] for n, digest in self.sources.items()],
            "psf": [
                list(psf.fwhm_voxels),
                psf.carrier_rad,
                psf.source,
                psf.n_bubbles,
                psf.bright_only,
            ],
            "working": [list(working.thinning), working.carrier_rad],
            "fwhm_um": list(self.calibration.fwhm_um),
            "svd_first": self.calibration.svd_first,
            "valid_share": self.calibration.valid_share,
            "findings": [asdict(finding) for finding in self.calibration.findings],
            "warnings": list(self.calibration.warnings),
            "motion": self.calibration.motion_method,
        }
        arrays: dict[str, NDArray[Any]] = {
            "facts": np.array(json.dumps(facts)),
            "psf": psf.array,
            "noise_by_depth": np.array(self.calibration.noise_by_depth),
        }
        if psf.factors is not None:
            arrays |= dict(zip(_FACTORS, psf.factors, strict=True))
        if self.calibration.motion_reference is not None:
            arrays["motion_reference"] = self.calibration.motion_reference
        return arrays

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], acquisition: Acquisition
    ) -> KeptCalibration:
        """Inverse of `arrays`."""
        facts = json.loads(str(arrays["facts"]))
        fwhm, carrier, source, n_bubbles, bright = facts["psf"]
        thinning, working_carrier = facts["working"]
        factors: Any = tuple(arrays[name] for name in _FACTORS) if _FACTORS[0] in arrays else None
        calibration = Calibration(
            psf=Psf(arrays["psf"], tuple(fwhm), carrier, source, factors, n_bubbles, bright),
            working=WorkingGrid(acquisition.grid, tuple(thinning), working_carrier),
            fwhm_um=tuple(facts["fwhm_um"]),
            svd_first=facts["svd_first"],
            valid_share=facts["valid_share"],
            noise_by_depth=tuple(arrays["noise_by_depth"].tolist()),
            findings=tuple(Finding(**finding) for finding in facts["findings"]),
            warnings=tuple(facts["warnings"]),
            motion_method=facts["motion"],
            motion_reference=arrays.get("motion_reference"),
        )
        length = BlockLength(
            facts["frames"], Finding(**facts["length"]) if facts["length"] else None
        )
        limits = (facts["limits"][0], facts["limits"][1])
        return cls(calibration, length, limits, {int(n): digest for n, digest in facts["sources"]})


def _fingerprint(acquisition: Acquisition, number: int) -> str:
    """Fingerprint of a file of the acquisition; empty if it cannot be read."""
    try:
        return source_fingerprint(acquisition.sources[number])
    except (UlmError, OSError, IndexError):
        return ""

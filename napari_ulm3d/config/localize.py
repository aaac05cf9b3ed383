"""How bubbles are found: conventional localizers and networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from napari_ulm3d.config.base import OddTriple, PositiveTriple, StageConfig, setting
from napari_ulm3d.config.methods.networks import network_entries, networks_with
from napari_ulm3d.config.methods.subvoxel import subvoxel_modules, subvoxel_with

__all__ = ["LocalizeConfig", "Localizer", "NetworkConfig"]

_SUBVOXEL = tuple(subvoxel_modules())
if TYPE_CHECKING:
    Localizer = str
else:
    Localizer = Literal[(*_SUBVOXEL, *network_entries())]

_CONVENTIONAL = {"localizer": _SUBVOXEL}
_WIDTHS, _FITTED, _REPEATED = (
    {"localizer": subvoxel_with(name)} for name in ("fwhm_voxels", "min_fit_snr_db", "rounds")
)
_PLACES = {"localizer": (*_SUBVOXEL, *networks_with("min_score"))}
_NETWORKS = {"localize.localizer": tuple(network_entries())}
_SCORED, _WINDOWED, _DRAWN = (
    {"localize.localizer": networks_with(name)}
    for name in ("min_score", "window_frames", "trajectory_score")
)


class LocalizeConfig(StageConfig):
    """Detection of bubbles and localization of their centres with sub-voxel precision."""

    localizer: Localizer = setting(
        "gaussian",
        "Localization method. gaussian, radial, centroid, parabolic: conventional; "
        "network: BubbleNet on the kept voxels; trajectory: the network of Rauby et al., "
        "which produces a map but no localizations.",
    )
    min_snr_db: float = setting(
        9.0, "Minimum contrast between a bubble and its surroundings.", "dB", when=_CONVENTIONAL
    )
    min_correlation: float = setting(
        0.0, "Minimum magnitude of the correlation with the PSF.", when=_CONVENTIONAL, ge=0, le=1
    )
    max_bubbles: int = setting(
        900,
        "Maximum number of bubbles per frame (the strongest are kept).",
        when=_CONVENTIONAL,
        ge=1,
    )
    patch_voxels: OddTriple | None = setting(
        None,
        "Size of the patch around a maximum, z, y, x (odd). auto: from the PSF.",
        "voxels",
        when=_CONVENTIONAL,
    )
    max_maxima: int | None = setting(
        None,
        "Reject a maximum if its patch contains more local maxima than this, itself "
        "included (PALA: 3). None: keep all.",
        when=_CONVENTIONAL,
        ge=1,
    )
    max_shift_voxels: float | None = setting(
        None,
        "Reject a position farther than this from its maximum along any axis. auto: from the PSF.",
        "voxels",
        when=_CONVENTIONAL,
        gt=0,
    )
    fwhm_voxels: PositiveTriple | None = setting(
        None,
        "Full width at half maximum of a bubble, z, y, x. auto: that of the PSF.",
        "voxels",
        when=_WIDTHS,
    )
    min_fit_snr_db: float = setting(
        16.0,
        "Minimum ratio of a fitted bubble's energy to the residual power around it.",
        "dB",
        when=_FITTED,
    )
    rounds: int = setting(
        2,
        "Number of detection passes. Each pass after the first searches the residual of "
        "the fitted bubbles.",
        when=_REPEATED,
        ge=1,
        le=5,
    )

    refine: Literal["none", "frame", "window"] = setting(
        "none",
        "Fit all bubbles again jointly, with their image measured in the frames; add missed bubbles "
        "and drop those that explain nothing. frame: each frame separately; window: "
        "along tracks, which follows bubbles through crowds. Finds more bubbles in all scenes tested, "
        "and takes about a third of the time of the network. Needs IQ.",
        when=_PLACES,
    )

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.patch_voxels is not None and any(n % 2 == 0 for n in self.patch_voxels):
            raise ValueError(f"patch_voxels {self.patch_voxels} must be odd")
        return self

    def for_psf(self, fwhm_voxels: tuple[float, float, float]) -> LocalizeConfig:
        """Fill in the settings that depend on the PSF; values that were given are kept.

        Parameters
        ----------
        fwhm_voxels
            Widths of the PSF along z, y, x.
        """
        z, y, x = (2 * min(max(round(1.4 * width), 2), 7) + 1 for width in fwhm_voxels)
        return self.replace(
            patch_voxels=self.patch_voxels or (z, y, x),
            max_shift_voxels=self.max_shift_voxels or max(1.5, 0.5 * max(fwhm_voxels)),
            fwhm_voxels=self.fwhm_voxels or fwhm_voxels,
        )

    @property
    def by_network(self) -> bool:
        """Whether the localizer is a network."""
        return self.localizer in network_entries()

    @property
    def patch(self) -> tuple[int, int, int]:
        """`patch_voxels`, or 7 voxels if neither it nor a PSF is given."""
        return self.patch_voxels or (7, 7, 7)

    @property
    def max_shift(self) -> float:
        """`max_shift_voxels`, or 1.5 voxels if neither it nor a PSF is given."""
        return self.max_shift_voxels or 1.5


class NetworkConfig(StageConfig):
    """Running the networks (localizers network and trajectory) and selecting their predictions."""

    weights: str | None = setting(
        None,
        "Network weights: a .safetensors file, or the name of included weights. None: "
        "the included weights for this localizer.",
        of="weights",
        when=_NETWORKS,
    )
    min_score: float | None = setting(
        None,
        "Minimum score: the probability that a bubble lies within hit_fraction of its "
        "position. None: the value chosen on the validation scenes of the training.",
        when=_SCORED,
        ge=0,
        le=1,
    )
    hit_fraction: float = setting(
        0.25,
        "Distance within which a position counts as correct in the score.",
        "wavelengths",
        when=_SCORED,
        gt=0,
    )
    candidate_score: float = setting(
        0.03, "Ignore voxels with a lower bubble probability than this.", when=_SCORED, gt=0, le=1
    )
    merge_fwhm: float = setting(
        0.3,
        "Merge predictions closer together than this.",
        "PSF widths",
        when=_SCORED,
        gt=0,
    )
    views: Literal[1, 2, 4, 8] = setting(
        2,
        "Number of mirror images of each window to average over. Computing time grows in "
        "proportion.",
        when=_WINDOWED,
    )
    window_frames: int | None = setting(
        None,
        "Maximum number of frames per network window; auto: as many as the memory allows.",
        "frames",
        when=_WINDOWED,
        ge=1,
    )
    margin_frames: int | None = setting(
        None,
        "Frames at the ends of a window that are predicted by its neighbours instead; auto: the "
        "temporal reach of the network.",
        "frames",
        when=_WINDOWED,
        ge=0,
    )
    trajectory_score: float = setting(
        0.5,
        "Minimum probability for a voxel to belong to a trajectory.",
        when=_DRAWN,
        gt=0,
        lt=1,
    )
    precision: Literal["auto", "full", "half"] = setting(
        "auto",
        "Numerical precision. full (used by auto): 32 bits; half: 16 bits in the "
        "convolutions (CUDA only; needs less memory).",
        when=_NETWORKS,
    )
    memory_gb: float | None = setting(
        None,
        "Memory for the network. It determines the size of the pieces computed at once, but not the "
        "result. none: the free memory.",
        "GB",
        when=_NETWORKS,
        gt=0,
    )

    @model_validator(mode="after")
    def _window_left(self) -> Self:
        window, margin = self.window_frames, self.margin_frames
        if window is not None and margin is not None and window <= 2 * margin:
            raise ValueError(f"window_frames {window} must exceed twice margin_frames {margin}")
        return self

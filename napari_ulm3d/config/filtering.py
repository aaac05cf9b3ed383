"""Settings from frames to kept voxels: clutter filter, point-spread function, sparsification."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_ulm3d.config.base import OddTriple, Positive, PositiveTriple, StageConfig, setting

__all__ = ["ClutterConfig", "PsfConfig", "SparsifyConfig"]

_SVD = {"method": ("svd", "svd+bandpass")}
_BANDPASS = {"method": ("bandpass", "svd+bandpass")}


Count = Annotated[int, Field(ge=1)]


class ClutterConfig(StageConfig):
    """Clutter filter: removes tissue by singular value decomposition, a temporal bandpass, or both."""

    method: Literal["svd", "bandpass", "svd+bandpass", "none"] = setting("svd", "Clutter filter.")
    svd_range: tuple[Count, Count] | None = setting(
        None,
        "First and last singular component to keep, counted from 1 (strongest). auto: "
        "the tissue components are recognized because they spread over the whole volume.",
        when=_SVD,
    )
    svd_automatic: bool = setting(
        False,
        "Choose the first component anew in every block, from the similarity of the "
        "spatial singular vectors.",
        when=_SVD,
    )
    regions: tuple[Count, Count, Count] | None = setting(
        None,
        "Filter the volume in this many regions along z, y, x, which overlap by a half and are blended: for tissue that "
        "moves differently from place to place. Without svd_range, each gets its own first component. none: as a whole.",
        when=_SVD,
    )
    decomposition: Literal["auto", "randomized", "full"] = setting(
        "auto",
        "How to compute the singular components. randomized: only the tissue components, "
        "with a range finder; full: all of them; auto: whichever is faster.",
        when=_SVD,
    )
    bandpass_hz: tuple[Positive, Positive] = setting(
        (10.0, 120.0),
        "Lower and upper cut-off frequency of the temporal bandpass.",
        "Hz",
        when=_BANDPASS,
    )
    bandpass_order: int = setting(
        2, "Order of the Butterworth bandpass.", when=_BANDPASS, ge=1, le=8
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.svd_range is not None and self.svd_range[0] > self.svd_range[1]:
            raise ValueError(f"svd_range {self.svd_range} must be ascending")
        if self.bandpass_hz[0] >= self.bandpass_hz[1]:
            raise ValueError(f"bandpass_hz {self.bandpass_hz} must be ascending")
        return self


class PsfConfig(StageConfig):
    """Point-spread function (PSF): the image of a single bubble."""

    source: Literal["auto", "analytic", "data"] = setting(
        "auto",
        "Source of the PSF. auto: a Gaussian with measured widths; analytic: a Gaussian "
        "of fwhm_voxels; data: the average of isolated bubbles.",
    )
    fwhm_voxels: PositiveTriple | None = setting(
        None,
        "Full width at half maximum of the PSF magnitude along z, y, x. auto: measured "
        "(with source=analytic: 3, 3, 3).",
        "voxels",
    )
    patch_voxels: OddTriple | None = setting(
        None,
        "Size of the PSF patch along z, y, x (odd). auto: one width on each side of the centre.",
        "voxels",
    )
    carrier: Literal["data", "wavelength", "none"] = setting(
        "data",
        "Axial phase of the Gaussian PSF for IQ data: measured, from the wavelength, or none.",
        when={"source": ("auto", "analytic")},
    )
    min_bubbles: int = setting(
        30,
        "Minimum number of isolated bubbles for an estimate.",
        "bubbles",
        when={"source": ("auto", "data")},
        ge=1,
    )

    @property
    def widths(self) -> tuple[float, float, float]:
        """`fwhm_voxels`, or 3 voxels if not set."""
        return self.fwhm_voxels or (3.0, 3.0, 3.0)

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.patch_voxels is not None and any(n % 2 == 0 for n in self.patch_voxels):
            raise ValueError(f"patch_voxels {self.patch_voxels} must be odd")
        return self


class SparsifyConfig(StageConfig):
    """Sparsification: which voxels of the correlation map the networks receive."""

    strategy: Literal["threshold", "topk", "contrast", "learned"] = setting(
        "threshold", "How to choose the voxels to keep."
    )
    threshold: float = setting(
        0.1,
        "Keep voxels whose squared correlation |c|^2 is at least this.",
        when={"strategy": ("threshold",)},
        ge=0,
        le=1,
    )
    near_threshold: float = setting(
        1.0,
        "Within two voxels of one whose |c|^2 is at least 0.2, also keep those of at least this, which "
        "overlapping bubbles weaken. From the threshold on, it has no effect.",
        when={"strategy": ("threshold",)},
        ge=0,
        le=1,
    )
    top_k: int = setting(
        50_000,
        "Number of voxels to keep in each block (the strongest).",
        "voxels",
        when={"strategy": ("topk",)},
        ge=1,
    )
    min_snr_db: float = setting(
        9.0, "Minimum local signal-to-noise ratio.", "dB", when={"strategy": ("contrast",)}
    )
    patch_voxels: OddTriple = setting(
        (7, 7, 7),
        "Size of the patch used to measure the local noise, z, y, x (odd).",
        "voxels",
        when={"strategy": ("contrast",)},
    )
    weights: str | None = setting(
        None,
        "Weights of the mask network: a file, or the name of included weights. None: the "
        "included ones.",
        of="weights",
        when={"strategy": ("learned",)},
    )

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if any(n % 2 == 0 for n in self.patch_voxels):
            raise ValueError(f"patch_voxels {self.patch_voxels} must be odd")
        if max(self.patch_voxels) < 3:
            raise ValueError(
                f"patch_voxels {self.patch_voxels} must span at least 3 voxels along one axis"
            )
        return self

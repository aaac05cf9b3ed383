"""From frames to kept voxels: clutter filter, point-spread function, sparsification."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from napari_ulm3d.config.base import OddTriple, Positive, PositiveTriple, StageConfig, setting

__all__ = ["ClutterConfig", "PsfConfig", "SparsifyConfig"]

_SVD = {"method": ("svd", "svd+bandpass")}
_BANDPASS = {"method": ("bandpass", "svd+bandpass")}


class ClutterConfig(StageConfig):
    """Removing tissue: singular value decomposition and/or a temporal bandpass."""

    method: Literal["svd", "bandpass", "svd+bandpass", "none"] = setting("svd", "Which filter.")
    svd_range: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = setting(
        None,
        "First and last singular component kept, counted from 1 (strongest); auto: the tissue's "
        "components are found by their spread over the volume.",
        when=_SVD,
    )
    svd_automatic: bool = setting(
        False,
        "Choose the first component kept in every block anew, by the similarity of the spatial "
        "vectors.",
        when=_SVD,
    )
    decomposition: Literal["auto", "randomized", "full"] = setting(
        "auto",
        "How singular components are computed. randomized: only those of the tissue, by a range "
        "finder; full: all of them; auto: whichever is cheaper.",
        when=_SVD,
    )
    bandpass_hz: tuple[Positive, Positive] = setting(
        (10.0, 120.0), "Lower and upper cut-off of the temporal bandpass.", "Hz", when=_BANDPASS
    )
    bandpass_order: int = setting(
        2, "Order of the Butterworth bandpass.", when=_BANDPASS, ge=1, le=8
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.svd_range is not None and self.svd_range[0] > self.svd_range[1]:
            raise ValueError(f"svd_range {self.svd_range} must ascend")
        if self.bandpass_hz[0] >= self.bandpass_hz[1]:
            raise ValueError(f"bandpass_hz {self.bandpass_hz} must ascend")
        return self


class PsfConfig(StageConfig):
    """The point-spread function: the image of one bubble."""

    source: Literal["auto", "analytic", "data"] = setting(
        "auto",
        "Where the image of a bubble comes from. auto: a Gaussian of the widths that were measured; "
        "analytic: a Gaussian of fwhm_voxels; data: the data's isolated bubbles.",
    )
    fwhm_voxels: PositiveTriple | None = setting(
        None,
        "Full width at half maximum of the magnitude along z, y, x; auto: measured (analytic: 3, 3, 3).",
        "voxels",
    )
    patch_voxels: OddTriple | None = setting(
        None,
        "Size of the PSF's patch along z, y, x (odd); auto: a width on either side of the centre.",
        "voxels",
    )
    carrier: Literal["data", "wavelength", "none"] = setting(
        "data",
        "Axial phase of a Gaussian, for IQ: measured on the data, from the wavelength, or zero.",
        when={"source": ("auto", "analytic")},
    )
    min_bubbles: int = setting(
        30,
        "Fewest isolated bubbles that an estimate may rest on.",
        "bubbles",
        when={"source": ("auto", "data")},
        ge=1,
    )

    @property
    def widths(self) -> tuple[float, float, float]:
        """`fwhm_voxels`, or 3 voxels where they are not given."""
        return self.fwhm_voxels or (3.0, 3.0, 3.0)

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.patch_voxels is not None and any(n % 2 == 0 for n in self.patch_voxels):
            raise ValueError(f"patch_voxels {self.patch_voxels} must be odd")
        return self


class SparsifyConfig(StageConfig):
    """Which voxels of the correlation map are kept for the networks."""

    strategy: Literal["threshold", "topk", "contrast", "learned"] = setting(
        "threshold", "How voxels are chosen."
    )
    threshold: float = setting(
        0.1,
        "Keep voxels with a squared correlation |c|^2 of at least this.",
        when={"strategy": ("threshold",)},
        ge=0,
        le=1,
    )
    top_k: int = setting(
        50_000,
        "Keep this many voxels of each block, the strongest.",
        "voxels",
        when={"strategy": ("topk",)},
        ge=1,
    )
    min_snr_db: float = setting(
        9.0, "Least local signal-to-noise ratio.", "dB", when={"strategy": ("contrast",)}
    )
    patch_voxels: OddTriple = setting(
        (7, 7, 7),
        "Patch in which the local noise level is measured, z, y, x (odd).",
        "voxels",
        when={"strategy": ("contrast",)},
    )
    weights: str | None = setting(
        None,
        "Weights of the mask network, a file or the name of shipped ones; none: those shipped.",
        of="weights",
        when={"strategy": ("learned",)},
    )

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if any(n % 2 == 0 for n in self.patch_voxels):
            raise ValueError(f"patch_voxels {self.patch_voxels} must be odd")
        if max(self.patch_voxels) < 3:
            raise ValueError(f"patch_voxels {self.patch_voxels} must span 3 voxels along an axis")
        return self

"""Clutter filter, point-spread function and correlation map."""

from __future__ import annotations

from napari_ulm3d.filtering._chunks import one_blas_thread
from napari_ulm3d.filtering.amplitude import refuse_constant, rescale
from napari_ulm3d.filtering.bandpass import bandpass_filter
from napari_ulm3d.filtering.clutter import FilteredBlock, clutter_filter
from napari_ulm3d.filtering.correlation import correlation_map
from napari_ulm3d.filtering.power_doppler import power_doppler
from napari_ulm3d.filtering.psf import Psf, analytic_psf, axial_phase_step, patch_of
from napari_ulm3d.filtering.psf_estimate import estimate_carrier, estimate_psf, make_psf
from napari_ulm3d.filtering.similarity import spatial_similarity, tissue_components
from napari_ulm3d.filtering.svd import svd_filter, svd_spectrum
from napari_ulm3d.filtering.tissue_cut import TissueCut, tissue_cut
from napari_ulm3d.filtering.valid import valid_voxels

__all__ = [
    "FilteredBlock",
    "Psf",
    "TissueCut",
    "analytic_psf",
    "axial_phase_step",
    "bandpass_filter",
    "clutter_filter",
    "correlation_map",
    "estimate_carrier",
    "estimate_psf",
    "make_psf",
    "one_blas_thread",
    "patch_of",
    "power_doppler",
    "refuse_constant",
    "rescale",
    "spatial_similarity",
    "svd_filter",
    "svd_spectrum",
    "tissue_components",
    "tissue_cut",
    "valid_voxels",
]

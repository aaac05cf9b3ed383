"""Named settings of simulated acquisitions, with explicit probe, wavelength, voxels and rate.

A preset names the sources of its probe, frequency and rate. Values without a source (widths
of the point-spread function, levels, speeds) are choices of this project and marked as such.
"""

from __future__ import annotations

from dataclasses import dataclass

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.simulate.config import (
    ClutterModelConfig,
    GridConfig,
    MicrobubbleConfig,
    NoiseConfig,
    PsfModelConfig,
    SimulationConfig,
    VesselsConfig,
)
from napari_ulm3d.simulate.flow import FlowConfig
from napari_ulm3d.simulate.flow.bubbles import BubbleConfig

__all__ = ["PRESETS", "Preset", "preset"]


@dataclass(frozen=True)
class Preset:
    """Named settings.

    Attributes
    ----------
    config
        The settings.
    description
        The acquisition that they represent, in one sentence.
    source
        Sources of the numbers, and which were chosen here.
    """

    config: SimulationConfig
    description: str
    source: str


_ALL = (
    Preset(
        SimulationConfig(
            name="mouse-brain-15MHz",
            probe="matrix array, 32 x 32 elements, 15.6 MHz",
            grid=GridConfig(shape=(40, 36, 32), voxel_um=(98.56, 150.0, 150.0)),
            wavelength_um=98.56,
            rate_hz=260.0,
            psf=PsfModelConfig(fwhm_um=(197.0, 300.0, 300.0)),
        ),
        "Transcranial volumes of the mouse brain, as recorded by Open-3DULM.",
        "Frequency, voxel and rate: Open-3DULM (Commun. Eng. 2025, s44172-025-00415-4; "
        "data at Zenodo 14289690). Grid cropped to 3.9 x 5.4 x 4.8 mm; widths, levels "
        "and speed chosen here.",
    ),
    Preset(
        SimulationConfig(
            name="rat-brain-8MHz",
            probe="matrix array, 32 x 32 elements, 7.8 MHz",
            grid=GridConfig(shape=(48, 32, 32), voxel_um=(98.56, 197.12, 197.12)),
            wavelength_um=197.12,
            rate_hz=300.0,
            psf=PsfModelConfig(fwhm_um=(320.0, 400.0, 400.0), widening_per_mm=0.03),
            clutter=ClutterModelConfig(breathing_hz=1.1, breathing_um=15.0, heart_hz=6.0),
            vessels=VesselsConfig(flow=FlowConfig(max_speed_mm_s=30.0)),
        ),
        "Volumes of the rat brain at half the frequency: half a wavelength per voxel in depth.",
        "Kind of probe: Chavignon et al., IEEE Trans. Biomed. Eng. 2022 (multiplexed 8 MHz "
        "matrix, rat brain). Voxel, rate, widths, levels and speed chosen here.",
    ),
    Preset(
        SimulationConfig(
            name="rat-brain-2d-15MHz",
            probe="linear array, 128 elements, 15.6 MHz",
            grid=GridConfig(shape=(78, 1, 118), voxel_um=(98.56, 400.0, 98.56)),
            wavelength_um=98.56,
            rate_hz=1000.0,
            n_frames=800,
            psf=PsfModelConfig(fwhm_um=(148.0, 400.0, 197.0)),
            vessels=VesselsConfig(flow=FlowConfig(max_speed_mm_s=40.0)),
            travel=BubbleConfig(max_speed_mm_s=40.0),
        ),
        "Planes of the rat brain, like those of PALA; one voxel in elevation, as thick "
        "as the slice.",
        "Frequency, rate and blocks of 800 frames: the rat brain of PALA (Heiles et al., Nat. "
        "Biomed. Eng. 2022). Slice thickness, widths, levels and speed chosen here.",
    ),
    Preset(
        SimulationConfig(
            name="paper2d",
            probe="linear array, 15.6 MHz",
            grid=GridConfig(shape=(32, 1, 32), voxel_um=(98.56, 400.0, 98.56)),
            wavelength_um=98.56,
            rate_hz=1000.0,
            n_frames=512,
            psf=PsfModelConfig(fwhm_um=(148.0, 400.0, 197.0)),
            noise=NoiseConfig(snr_db=18.0),
            clutter=ClutterModelConfig(level_db=None),
            bubbles=MicrobubbleConfig(n_bubbles=5),
        ),
        "Planes of the size published for sparse-tensor ULM.",
        "32 x 32 voxels, 512 frames, 1 kHz: Rauby et al., IEEE Trans. Image Process. "
        "2025 (arXiv 2402.09359). Wavelength, voxel, widths, noise and speed chosen here.",
    ),
    Preset(
        SimulationConfig(
            name="paper3d",
            probe="matrix array, 15.6 MHz",
            grid=GridConfig(shape=(32, 32, 32), voxel_um=(98.56, 98.56, 98.56)),
            wavelength_um=98.56,
            rate_hz=1000.0,
            n_frames=512,
            psf=PsfModelConfig(fwhm_um=(148.0, 197.0, 197.0)),
            noise=NoiseConfig(snr_db=18.0),
            clutter=ClutterModelConfig(level_db=None),
            bubbles=MicrobubbleConfig(n_bubbles=10),
        ),
        "Volumes of the size published for sparse-tensor ULM.",
        "32 x 32 x 32 voxels, 512 frames, 1 kHz: Rauby et al., IEEE Trans. Image "
        "Process. 2025 (arXiv 2402.09359). Wavelength, voxel, widths, noise and speed "
        "chosen here.",
    ),
)

PRESETS: dict[str, Preset] = {item.config.name: item for item in _ALL}


def preset(name: str) -> SimulationConfig:
    """The settings of a preset.

    Raises
    ------
    ConfigError
        There is no preset of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"There is no preset '{name}'. Presets: {', '.join(PRESETS)}.")
    return PRESETS[name].config

"""Localization by `BubbleNet`: overlapping windows over the voxels kept of a block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator
from scipy.special import gammainc

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import StageConfig, setting
from napari_ulm3d.errors import Cancelled
from napari_ulm3d.networks.bubblenet_input import BubbleInput, collate
from napari_ulm3d.networks.bubblenet_peaks import BubblePredictions, find_peaks
from napari_ulm3d.tables import VELOCITY_MM_S, Localizations

if TYPE_CHECKING:
    import torch

    from napari_ulm3d.networks.bubblenet import BubbleNet
    from napari_ulm3d.sparse import Backend

__all__ = ["NetworkConfig", "hit_probability", "localize_network", "predict", "to_localizations"]


class NetworkConfig(StageConfig):
    """How `BubbleNet` is run, and which of its bubbles are kept."""

    window_frames: int = setting(32, "Frames given to the network at once.", "frames", ge=1)
    margin_frames: int = setting(
        4, "Frames at a window's ends that are predicted by the next one.", "frames", ge=0
    )
    min_score: float = setting(
        0.2, "Least probability that a bubble is as close as `hit_fraction` says.", ge=0, le=1
    )
    hit_fraction: float = setting(
        0.25, "How close a bubble must be to count for the score.", "wavelengths", gt=0
    )
    candidate_score: float = setting(
        0.03, "Voxels of a lower probability are not looked at.", gt=0, le=1
    )
    merge_fwhm: float = setting(
        0.3, "Predictions closer than this are one bubble.", "widths of the PSF", gt=0
    )

    @model_validator(mode="after")
    def _window_left(self) -> Self:
        if self.window_frames <= 2 * self.margin_frames:
            raise ValueError(
                f"window_frames {self.window_frames} must exceed twice margin_frames "
                f"{self.margin_frames}"
            )
        return self


def _cut(first: int, n_frames: int, window: int, margin: int) -> tuple[int, int, int]:
    """The window whose kept part begins at `first`: start, stop, and the kept part's end."""
    last = min(first + window - 2 * margin, n_frames)
    return max(0, first - margin), min(n_frames, last + margin), last


def predict(
    model: BubbleNet,
    block: BubbleInput,
    config: NetworkConfig,
    *,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    stop: Callable[[], bool] | None = None,
) -> Iterator[BubblePredictions]:
    """Bubbles of a block, window after window; frames count over the whole acquisition.

    Where a GPU's memory does not suffice, windows are halved, down to one frame and its
    margins.

    Parameters
    ----------
    model
        On `device`. It is put into evaluation mode.
    block
        Kept voxels of any number of frames.
    config
        Windows, scores.
    device, backend
        Where and by what to compute.
    stop
        Asked before each window.

    Raises
    ------
    Cancelled
        `stop` said so.
    """
    import torch

    model.eval()
    radius = _radius(block, config)
    first, n_frames = 0, block.shape[0]
    window = config.window_frames
    while first < n_frames:
        if stop is not None and stop():
            raise Cancelled("The localization was stopped.")
        low, high, last = _cut(first, n_frames, window, config.margin_frames)
        try:
            voxels = _predict_window(model, block.window(low, high), config, device, backend)
        except torch.cuda.OutOfMemoryError:
            smaller = max(2 * config.margin_frames + 1, window // 2)
            if smaller == window:
                raise
            torch.cuda.empty_cache()
            window = smaller
            continue
        frame = voxels.frame - block.first_frame
        yield find_peaks(
            _select(voxels, (frame >= first) & (frame < last)), radius, config.min_score
        )
        first = last


def localize_network(
    model: BubbleNet,
    block: BubbleInput,
    grid: Grid,
    rate_hz: float,
    wavelength_um: float | None = None,
    config: NetworkConfig | None = None,
    *,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    stop: Callable[[], bool] | None = None,
) -> Localizations:
    """Localizations of a block by `BubbleNet`.

    A localization is worth what its place is worth: the score is the probability of a bubble
    times that of an error below a quarter of the wavelength, by the predicted uncertainty.


    Parameters
    ----------
    model, block, config, device, backend, stop
        As of `predict`.
    grid
        Spacing and origin of the voxels.
    rate_hz
        Volumes a second.
    wavelength_um
        None: half of the PSF's width along z stands in for it.

    Returns
    -------
    Localizations
        Those whose `score` reaches `config.min_score`. `snr_db` is the predicted level; there
        are sigma_z_um, sigma_y_um, sigma_x_um and the predicted velocity vz_mm_s, vy_mm_s,
        vx_mm_s (float32). Along an axis of one voxel the position is the voxel's. Positions lie
        within the voxels' borders.

    Raises
    ------
    Cancelled
        `stop` said so.
    """
    config = config or NetworkConfig()
    if wavelength_um is None:
        wavelength_um = 0.5 * block.fwhm_voxels[0] * grid.spacing_um[0]
    radius_um = config.hit_fraction * wavelength_um
    parts = []
    for found in predict(model, block, config, device=device, backend=backend, stop=stop):
        table = to_localizations(found, grid, rate_hz, radius_um).table
        parts.append(Localizations(table[table["score"] >= config.min_score]))
    return Localizations.concat(parts)


def hit_probability(sigma_um: NDArray[np.float64], radius_um: float) -> NDArray[np.float64]:
    """Probability that a Gaussian error is shorter than a radius.

    The squared length is a sum of scaled chi-squares, here replaced by one scaled chi-square
    of the same mean and variance (Satterthwaite 1946): exact for equal sigmas.

    Parameters
    ----------
    sigma_um
        (n, d) standard deviation along each axis.
    radius_um
        The radius.
    """
    variance = np.square(sigma_um)
    mean, square = variance.sum(axis=1), np.square(variance).sum(axis=1)
    return np.asarray(gammainc(0.5 * mean**2 / square, 0.5 * radius_um**2 * mean / square))


def to_localizations(
    found: BubblePredictions, grid: Grid, rate_hz: float, radius_um: float
) -> Localizations:
    """Predictions in voxels and frames to a table in micrometres and seconds.

    `score` is the probability of a bubble within `radius_um` of the position.
    """
    spacing = np.asarray(grid.spacing_um)
    upper = np.asarray(grid.shape) - 0.5
    position = np.clip(found.position, -0.5, np.nextafter(upper, 0))
    flat = np.asarray(grid.shape) == 1
    position[:, flat] = 0.0
    sigma_um = found.sigma * spacing
    # A single voxel has no axis along which anything could be resolved.
    resolved = ~flat if not flat.all() else flat
    localizations = Localizations.from_arrays(
        found.frame,
        grid.to_um(position),
        20 * found.level,
        found.probability * hit_probability(sigma_um[:, resolved], radius_um),
        rate_hz,
        sigma_um,
    )
    velocity = found.velocity * spacing * (rate_hz / 1000)
    velocity[:, flat] = 0.0
    for axis, name in enumerate(VELOCITY_MM_S):
        localizations.table[name] = velocity[:, axis].astype(np.float32)
    return localizations


def _radius(block: BubbleInput, config: NetworkConfig) -> tuple[float, float, float]:
    z, y, x = (
        config.merge_fwhm * width if n > 1 else np.inf
        for width, n in zip(block.fwhm_voxels, block.shape[1:], strict=True)
    )
    return (z, y, x)


def _predict_window(
    model: BubbleNet,
    window: BubbleInput,
    config: NetworkConfig,
    device: torch.device | str,
    backend: Backend | None,
) -> BubblePredictions:
    """Candidates of one window, a row a voxel."""
    import torch

    with torch.inference_mode():
        out = model(collate([window], device, backend))
        probability = torch.sigmoid(out.logit)
        rows = (probability >= config.candidate_score).nonzero().flatten()

        def numbers(values: torch.Tensor) -> NDArray[np.float64]:
            return values.index_select(0, rows).double().cpu().numpy()

        at = out.coordinates.indices.index_select(0, rows).cpu().numpy().astype(np.int64)
        return BubblePredictions(
            frame=at[:, 1] + window.first_frame,
            probability=numbers(probability),
            position=at[:, 2:] + numbers(out.offset),
            sigma=np.exp(numbers(out.log_sigma)),
            velocity=numbers(out.velocity),
            level=numbers(out.level),
        )


def _select(voxels: BubblePredictions, rows: NDArray[np.bool_]) -> BubblePredictions:
    return BubblePredictions(
        voxels.frame[rows],
        voxels.probability[rows],
        voxels.position[rows],
        voxels.sigma[rows],
        voxels.velocity[rows],
        voxels.level[rows],
    )

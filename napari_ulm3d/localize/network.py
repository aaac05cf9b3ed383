"""Localization by `BubbleNet`, in overlapping windows over the kept voxels of a block."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import NetworkConfig
from napari_ulm3d.errors import BackendError
from napari_ulm3d.localize.augmentation import averaged_output
from napari_ulm3d.localize.passes import Pass, halves_of_pass, passes
from napari_ulm3d.localize.pieces import Context, Cutter, Cutting, Piece, cut_block
from napari_ulm3d.localize.windows import run_pieces, windows_at_once
from napari_ulm3d.networks.bubblenet_input import BubbleInput
from napari_ulm3d.networks.bubblenet_peaks import BubblePredictions, find_peaks
from napari_ulm3d.networks.memory import forward_bytes, most_voxels
from napari_ulm3d.networks.precision import half_precision
from napari_ulm3d.tables import VELOCITY_MM_S, Localizations

if TYPE_CHECKING:
    import torch

    from napari_ulm3d.networks.bubblenet import BubbleNet, BubbleNetConfig
    from napari_ulm3d.sparse import Backend, Reuse

__all__ = [
    "DEFAULT_MIN_SCORE",
    "NetworkConfig",
    "context_of",
    "hit_probability",
    "localize_network",
    "predict",
    "to_localizations",
]

log = logging.getLogger("napari_ulm3d")

DEFAULT_MIN_SCORE = 0.2
"""Minimum score if neither the settings nor the card of the weights give one."""

_WASTEFUL = 4.0
"""Mean number of times that a voxel is computed, above which a warning on memory is logged."""


def context_of(network: BubbleNetConfig, config: NetworkConfig) -> Context:
    """Context that the network needs around a voxel; `config.margin_frames` if given."""
    frames = network.context_frames if config.margin_frames is None else config.margin_frames
    return Context(frames, network.context_voxels, network.stride)


def predict(
    model: BubbleNet,
    block: BubbleInput,
    config: NetworkConfig,
    *,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    stop: Callable[[], bool] | None = None,
    progress: Callable[[float], None] | None = None,
    told: Callable[[Piece], None] | None = None,
) -> Iterator[BubblePredictions]:
    """Predict the bubbles of a block, window by window; frames count over the whole acquisition.

    A window with too many voxels for the memory is split into pieces of time and space. Each
    piece includes the surrounding frames and voxels that the network uses, so the result does not
    depend on the memory.

    Parameters
    ----------
    model
        The network on `device`. It is set to evaluation mode.
    block
        Kept voxels of any number of frames.
    config
        Windows, scores, precision, memory.
    device, backend
        Device and sparse backend.
    stop
        Called ten times per second; a true result cancels.
    progress
        Called with the share of finished frames after each window.
    told
        Called with every computed piece.

    Raises
    ------
    Cancelled
        `stop` returned true.
    ConfigError
        `network.window_frames` is too small for the margins.
    BackendError
        Memory is insufficient for the smallest piece.
    """
    import torch

    from napari_ulm3d.sparse import Reuse, uses_tables

    model.eval()
    radius, n_frames = _radius(block, config), block.shape[0]
    context = context_of(model.config, config)
    cutter = Cutter(block.coordinates, block.shape, context)
    batched = uses_tables(torch.device(device))

    def most(at_once: int) -> int:
        return most_voxels(model.config, device, config.memory_gb, at_once)

    cutting = cut_block(cutter, most, config.window_frames, windows_at_once(device), alone=batched)
    _check_room(model.config, cutting, config, device)
    room = most(cutting.at_once) if batched else None
    reuse = Reuse()

    def compute(given: Pass) -> list[tuple[Piece, NDArray[np.intp], BubblePredictions]]:
        rows = [cutter.rows(piece.given) for piece in given.pieces]
        parts = [block.part(of, piece.given) for of, piece in zip(rows, given.pieces, strict=True)]
        with half_precision(config.precision, device):
            said = _predict_pass(model, parts, config, device, backend, given.views, reuse)
        made = []
        for piece, part, of, (at, found) in zip(given.pieces, parts, rows, said, strict=True):
            low = [span[0] for span in piece.given]
            found = replace(found, position=found.position + low[1:])
            inside = _inside(part.coordinates[at] + low, piece.kept)
            made.append((piece, of[at[inside]], _select(found, inside)))
        return made

    computed = run_pieces(
        model,
        passes(cutting.pieces, cutter.n_voxels, config.views, room),
        compute,
        halves=lambda given: halves_of_pass(given, cutter.halves),
        at_once=cutting.at_once,
        device=device,
        stop=stop,
    )
    results = (one for _, many in computed for one in many)
    for first, last in cutting.windows:
        of_window, n_done, wanted = [], 0, (last - first) * cutter.volume
        while n_done < wanted:
            piece, rows_found, found = next(results)
            of_window.append((rows_found, found))
            n_done += piece.size
            if told is not None:
                told(piece)
        kept = np.concatenate([rows for rows, _ in of_window])
        voxels = BubblePredictions.concat([found for _, found in of_window])
        if progress is not None:
            progress(last / n_frames)
        # In the order of the whole window, independent of the pieces.
        order = np.argsort(kept, kind="stable")
        yield find_peaks(_select(voxels, order), radius, _least(config))


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
    progress: Callable[[float], None] | None = None,
    told: Callable[[Piece], None] | None = None,
) -> Localizations:
    """Localize the bubbles of a block with `BubbleNet`.

    The score is the probability of a bubble times the probability that its position error is below
    `config.hit_fraction` of the wavelength, given the predicted uncertainty. A run calibrates it
    (`probability`).

    Parameters
    ----------
    model, block, config, device, backend, stop, progress, told
        As in `predict`.
    grid
        Spacing and origin of the voxels.
    rate_hz
        Volumes per second.
    wavelength_um
        None: half of the PSF's width along z is used instead.

    Returns
    -------
    Localizations
        Those with a `score` of at least `config.min_score` (None: `DEFAULT_MIN_SCORE`). `snr_db`
        is the predicted level; sigma_z_um, sigma_y_um, sigma_x_um and the velocity vz_mm_s,
        vy_mm_s, vx_mm_s (float32) are predicted too. Along an axis of one voxel the position is
        the voxel's centre. Positions lie within the volume.

    Raises
    ------
    Cancelled, ConfigError, BackendError
        As for `predict`.
    """
    config = config or NetworkConfig()
    if wavelength_um is None:
        wavelength_um = 0.5 * block.fwhm_voxels[0] * grid.spacing_um[0]
    radius_um = config.hit_fraction * wavelength_um
    parts = []
    for found in predict(
        model,
        block,
        config,
        device=device,
        backend=backend,
        stop=stop,
        progress=progress,
        told=told,
    ):
        table = to_localizations(found, grid, rate_hz, radius_um).table
        parts.append(Localizations(table[table["score"] >= _least(config)]))
    return Localizations.concat(parts)


def hit_probability(sigma_um: NDArray[np.float64], radius_um: float) -> NDArray[np.float64]:
    """Probability that a Gaussian error is shorter than a radius.

    The squared length is a sum of scaled chi-squared variables. It is approximated by a single
    one of the same mean and variance (Satterthwaite 1946), which is exact for equal sigmas.

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
    """Convert predictions in voxels and frames to a table in micrometres and seconds.

    `score` is the probability of a bubble within `radius_um` of the position.
    """
    spacing = np.asarray(grid.spacing_um)
    upper = np.asarray(grid.shape) - 0.5
    position = np.clip(found.position, -0.5, np.nextafter(upper, 0))
    flat = np.asarray(grid.shape) == 1
    position[:, flat] = 0.0
    sigma_um = found.sigma * spacing
    # A single voxel resolves nothing along any axis.
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


def _least(config: NetworkConfig) -> float:
    return DEFAULT_MIN_SCORE if config.min_score is None else config.min_score


def _radius(block: BubbleInput, config: NetworkConfig) -> tuple[float, float, float]:
    z, y, x = (
        config.merge_fwhm * width if n > 1 else np.inf
        for width, n in zip(block.fwhm_voxels, block.shape[1:], strict=True)
    )
    return (z, y, x)


def _check_room(
    network: BubbleNetConfig, cutting: Cutting, config: NetworkConfig, device: torch.device | str
) -> None:
    """Reject blocks that cannot be split enough; warn if pieces overlap too much."""
    if cutting.largest > most_voxels(network, device, config.memory_gb, cutting.at_once):
        needed = ceil(cutting.largest * forward_bytes(network) / 1e7) / 100
        raise BackendError(
            f"The smallest piece of this block that the network can compute has "
            f"{cutting.largest:,} voxels, for which its memory does not suffice. Set "
            f"network.memory_gb={needed:g} if that much is available, or keep fewer voxels "
            "(sparsify.threshold)."
        )
    if cutting.times_computed > _WASTEFUL:
        log.warning(
            "the network has little memory: pieces overlap so much that each voxel is "
            "computed %.0f times; raise network.memory_gb, or keep fewer voxels "
            "(sparsify.threshold)",
            cutting.times_computed,
        )


def _inside(at: NDArray[Any], box: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    low, high = np.array(box).T
    return np.asarray(((at >= low) & (at < high)).all(axis=1))


def _predict_pass(
    model: BubbleNet,
    parts: Sequence[BubbleInput],
    config: NetworkConfig,
    device: torch.device | str,
    backend: Backend | None,
    views_at_once: int,
    reuse: Reuse,
) -> list[tuple[NDArray[np.intp], BubblePredictions]]:
    """Candidates of each part: the rows of their voxels, ascending, and the predictions."""
    import torch

    with torch.inference_mode():
        out = averaged_output(
            model, parts, config.views, device, backend, at_once=views_at_once, reuse=reuse
        )
        columns = [
            torch.sigmoid(out.logit)[:, None],
            out.offset,
            out.log_sigma,
            out.velocity,
            out.level[:, None],
        ]
        # A single copy to the CPU, where the candidates are selected.
        every = torch.cat([column.float() for column in columns], dim=1).cpu().numpy()
    found, first = [], 0
    for part in parts:
        said = every[first : first + len(part) * out.per_voxel]
        first += len(said)
        chosen = np.flatnonzero(said[:, 0] >= config.candidate_score)
        at = chosen // out.per_voxel
        said, places = said[chosen].astype(np.float64), part.coordinates[at].astype(np.int64)
        candidates = BubblePredictions(
            frame=places[:, 0] + part.first_frame,
            probability=said[:, 0],
            position=places[:, 1:] + said[:, 1:4],
            sigma=np.exp(said[:, 4:7]),
            velocity=said[:, 7:10],
            level=said[:, 10],
        )
        found.append((at, candidates))
    return found


def _select(voxels: BubblePredictions, rows: NDArray[Any]) -> BubblePredictions:
    return BubblePredictions(
        voxels.frame[rows],
        voxels.probability[rows],
        voxels.position[rows],
        voxels.sigma[rows],
        voxels.velocity[rows],
        voxels.level[rows],
    )

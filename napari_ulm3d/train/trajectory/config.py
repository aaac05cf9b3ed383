"""Settings of a training of the paper's networks."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializeAsAny, model_validator

from napari_ulm3d.config import StageConfig, setting
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.networks.architecture import DeepSTULMConfig, SparseDeepSTULMConfig
from napari_ulm3d.networks.registry import PRESETS, config_of
from napari_ulm3d.train.config import DataConfig, TrainingConfig, ValidationConfig

__all__ = [
    "TrajectoryDataConfig",
    "TrajectoryLossConfig",
    "TrajectoryTrainConfig",
    "TrajectoryValidationConfig",
]

_Steps = Annotated[int, Field(ge=1)]


class TrajectoryDataConfig(DataConfig):
    """Scenes from which windows are cut, and the selection of their voxels."""

    strategy: Literal["threshold", "topk", "learned", "all"] = setting(
        "threshold", "How to choose the voxels of a window."
    )
    top_share: float = setting(
        0.1, "For topk: fraction of the voxels of a window to keep.", gt=0, le=1
    )
    mask_weights: str | None = setting(
        None, "For learned: weights of the mask network (a file, or the name of included weights)."
    )
    window_frames: int = setting(64, "Number of frames per training window.", "frames", ge=1)
    windows_per_scene: int = setting(
        3, "Number of windows taken from a scene, evenly spaced.", ge=1
    )


class TrajectoryLossConfig(StageConfig):
    """Weights of the terms of the loss, averaged over the output and, if sparse, the heads.

    Soft Dice alone (the publication's loss) has almost no gradient once a prediction is empty. A
    little cross entropy helps to recover from there; too much keeps the prediction empty if few
    voxels are true.
    """

    dice: float = setting(1.0, "One minus the soft Dice coefficient.", ge=0)
    cross_entropy: float = setting(0.1, "Binary cross entropy, mean over the voxels.", ge=0)
    smooth: float = setting(
        1.0, "Constant added to numerator and denominator of the Dice fraction.", "voxels", gt=0
    )


class TrajectoryValidationConfig(ValidationConfig):
    """Held-out scenes; the score is the mean Dice coefficient, with the publication's protocol."""

    preset: str = setting("paper2d", "Settings of the scenes.")
    bubbles: tuple[Annotated[int, Field(ge=0)], ...] = setting(
        (5, 20), "Numbers of bubbles in view; one group of scenes for each."
    )
    frames: int = setting(192, "Number of frames that are scored, from the first.", "frames", ge=1)


class TrajectoryTrainConfig(TrainingConfig):
    """All settings of a training of `DeepSTULM` or `SparseDeepSTULM`."""

    task: Literal["trajectory"] = setting("trajectory", "Network to train.")
    preset: str = setting("sparse-2d-small", "Name of the network in `networks.registry.PRESETS`.")
    network: SerializeAsAny[DeepSTULMConfig] = Field(
        SparseDeepSTULMConfig(), description="Settings that differ from those of the preset."
    )
    phase_steps: tuple[_Steps, ...] = setting(
        (),
        "For cascaded training: number of steps of each phase but the last. Each phase "
        "adds one high-resolution stage; the last phase has all.",
    )
    data: TrajectoryDataConfig = TrajectoryDataConfig()
    loss: TrajectoryLossConfig = TrajectoryLossConfig()
    validation: TrajectoryValidationConfig = TrajectoryValidationConfig()

    @model_validator(mode="before")
    @classmethod
    def _of_preset(cls, values: Any) -> Any:
        """The preset's settings, overridden by those in `network`."""
        if not isinstance(values, dict):
            return values
        name = values.get("preset", cls.model_fields["preset"].default)
        chosen = PRESETS.get(name)
        if chosen is None or not chosen.architecture.endswith("DeepSTULM"):
            names = [n for n, p in PRESETS.items() if p.architecture.endswith("DeepSTULM")]
            raise ValueError(f"there is no trajectory network {name!r}; choose one of {names}")
        given = values.get("network", {})
        given = given.model_dump() if isinstance(given, DeepSTULMConfig) else given
        try:
            network = config_of(chosen.architecture, {**chosen.settings, **given})
        except ConfigError as error:
            raise ValueError(f"network: {error}") from error
        return {**values, "network": network}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        flat = self.data.random.base.grid.shape[1] == 1
        if flat != (self.network.space_axes == 2):
            raise ValueError(
                f"a network with {self.network.space_axes} spatial axes does not match frames of "
                f"{self.data.random.base.grid.shape} voxels (2-D: one voxel along y)"
            )
        if self.phase_steps:
            if not self.sparse or not getattr(self.network, "deep_supervision", False):
                raise ValueError("phase_steps needs a sparse network with deep_supervision")
            if len(self.phase_steps) > self.network.doublings:
                raise ValueError(
                    f"{len(self.phase_steps)} phases before the last are too many for "
                    f"{self.network.doublings} high-resolution stages"
                )
            if sum(self.phase_steps) >= self.steps:
                raise ValueError("phase_steps leaves no step for the last phase")
        return self

    @property
    def architecture(self) -> str:
        """Name of the network in `networks.registry.ARCHITECTURES`."""
        return PRESETS[self.preset].architecture

    @property
    def sparse(self) -> bool:
        """Whether the network reads only the kept voxels."""
        return self.architecture == "SparseDeepSTULM"

    def stages(self, step: int) -> int:
        """Number of high-resolution stages trained at a step (from 0)."""
        ahead = 0
        for k in range(len(self.phase_steps)):
            ahead += step < sum(self.phase_steps[: k + 1])
        return self.network.doublings - ahead

"""The settings: one truth, in and out of TOML."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from napari_ulm3d.config import (
    LinkConfig,
    PipelineConfig,
    StageConfig,
    conditions_of,
    setting,
)
from napari_ulm3d.errors import ConfigError


def test_defaults_survive_toml(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    PipelineConfig().to_toml(path)
    assert PipelineConfig.from_toml(path) == PipelineConfig()


@given(st.floats(0.1, 1e3), st.integers(2, 100), st.none() | st.tuples(*[st.floats(1, 500)] * 3))
def test_changed_settings_survive_plain_values(speed: float, length: int, voxel: object) -> None:
    config = PipelineConfig.from_dict(
        {
            "link": {"max_speed_mm_s": speed, "min_length_frames": length},
            "load": {"voxel_um": voxel},
        }
    )
    assert PipelineConfig.from_dict(config.to_dict()) == config


def test_a_run_file_serves_as_settings(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(
        tomli_w.dumps({"program": {"version": "1"}, "config": {"link": {"max_gap_frames": 2}}})
    )
    assert PipelineConfig.from_toml(path).link.max_gap_frames == 2


@pytest.mark.parametrize(
    ("assignment", "section", "key", "value"),
    [
        ("link.max_speed_mm_s=20", "link", "max_speed_mm_s", 20.0),
        ("clutter.svd_range=8,150", "clutter", "svd_range", (8, 150)),
        ("clutter.svd_range = [8, 150]", "clutter", "svd_range", (8, 150)),
        ("clutter.method=svd+bandpass", "clutter", "method", "svd+bandpass"),
        ("load.variable=none", "load", "variable", None),
        ("clutter.method=none", "clutter", "method", "none"),
        ("maps.fsc=false", "maps", "fsc", False),
        (
            "network.weights=/data/a, b/net.safetensors",
            "network",
            "weights",
            "/data/a, b/net.safetensors",
        ),
        (
            r"network.weights=C:\new\table, 2.safetensors",
            "network",
            "weights",
            r"C:\new\table, 2.safetensors",
        ),
        ("load.variable=12", "load", "variable", "12"),
        ('load.variable="none"', "load", "variable", "none"),
    ],
)
def test_assignments(assignment: str, section: str, key: str, value: object) -> None:
    config = PipelineConfig().with_settings([assignment])
    assert getattr(getattr(config, section), key) == value


@given(
    st.text(st.characters(codec="utf-8"), max_size=30)
    | st.sampled_from(["none", "true", "[1, 2]"]),
    st.none() | st.tuples(*[st.floats(1, 500)] * 3),
)
def test_what_differs_from_the_defaults_can_be_assigned(text: str, voxel: object) -> None:
    config = PipelineConfig.from_dict(
        {"load": {"variable": text, "voxel_um": voxel}, "network": {"weights": text}, "seed": 3}
    )
    assert PipelineConfig().with_settings(config.assignments()) == config
    assert PipelineConfig().assignments() == []


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("link.max_speed=20", r"no setting 'link\.max_speed'.*max_speed_mm_s"),
        ("nonsense", "must have the form"),
        ("link.max_speed_mm_s=-1", "greater than 0"),
        ("clutter.svd_range=20,10", "ascend"),
        ("localize.patch_voxels=4,5,5", "odd"),
        ("link.min_length_frames=fast", "valid integer"),
    ],
)
def test_bad_assignments_say_what_is_wrong(assignment: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PipelineConfig().with_settings([assignment])


def test_bad_files_say_their_name(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    with pytest.raises(ConfigError, match=r"settings\.toml: there is no such"):
        PipelineConfig.from_toml(path)
    path.write_text("a = = 1")
    with pytest.raises(ConfigError, match=r"settings\.toml: not a readable TOML"):
        PipelineConfig.from_toml(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"settings\.toml"):
        PipelineConfig.from_toml(path)
    path.write_text("[link]\nspeed = 3")
    with pytest.raises(ConfigError, match=r"link\.speed: Extra inputs"):
        PipelineConfig.from_toml(path)


def test_settings_are_frozen_and_replaced_with_validation() -> None:
    config = LinkConfig()
    with pytest.raises(Exception, match="frozen"):
        config.max_speed_mm_s = 3  # type: ignore[misc]
    assert config.replace(max_speed_mm_s=3).max_speed_mm_s == 3
    with pytest.raises(ConfigError):
        config.replace(max_speed_mm_s=0)


def test_every_setting_is_described() -> None:
    for section in PipelineConfig.model_fields.values():
        stage = section.annotation
        if isinstance(stage, type) and issubclass(stage, StageConfig):
            for name, field in stage.model_fields.items():
                assert field.description, f"{stage.__name__}.{name} has no description"


def test_a_setting_says_when_it_is_used() -> None:
    def used(config: PipelineConfig, section: str) -> set[str]:
        def look_up(name: str) -> Any:
            of, _, key = name.rpartition(".")
            return getattr(getattr(config, of or section), key)

        fields = type(getattr(config, section)).model_fields
        return {
            name
            for name, field in fields.items()
            if all(condition.holds(look_up) for condition in conditions_of(field))
        }

    default = PipelineConfig()
    assert used(default, "sparsify") == {"strategy", "threshold", "near_threshold"}
    contrast = default.with_settings(["sparsify.strategy=contrast"])
    assert used(contrast, "sparsify") == {"strategy", "min_snr_db", "patch_voxels"}
    assert used(default, "network") == set()
    trajectory = default.with_settings(["localize.localizer=trajectory"])
    assert used(trajectory, "network") == {
        "weights", "trajectory_score", "precision", "memory_gb"
    }  # fmt: skip
    assert used(trajectory, "localize") == {"localizer"}
    parabolic = default.with_settings(["localize.localizer=parabolic"])
    assert {"min_fit_snr_db", "rounds", "fwhm_voxels"}.isdisjoint(used(parabolic, "localize"))
    none = default.with_settings(["clutter.method=none"])
    assert used(none, "clutter") == {"method"}


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ({"colour": ("red",)}, "colour, which is not a setting"),
        ({"kind": ("long", "wide")}, "can be 'long', 'short'"),
        ({"kind": ()}, "can be 'long', 'short'"),
        ({"on": ("yes",)}, "can be False, True"),
        ({"size": (3,)}, "no choice"),
    ],
)
def test_a_condition_that_cannot_hold_is_refused_at_once(when: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):

        class Stage(StageConfig):
            kind: Literal["long", "short"] = setting("long", "Kind.")
            on: bool = setting(True, "Switch.")
            size: int = setting(1, "Size.")
            other: int = setting(1, "Other.", when=when)


@pytest.mark.parametrize(
    ("name", "values"), [("stage.kind", ("wide",)), ("stage.sort", ("a",)), ("no.kind", ("a",))]
)
def test_conditions_on_other_sections_are_checked_where_these_meet(
    name: str, values: tuple[str, ...]
) -> None:
    class Stage(StageConfig):
        kind: Literal["a", "b"] = setting("a", "Kind.")

    class Other(StageConfig):
        size: int = setting(1, "Size.", when={name: values})

    with pytest.raises(TypeError, match=r"other\.size"):

        class Both(StageConfig):
            complete: ClassVar[bool] = True
            stage: Stage = Stage()
            other: Other = Other()


def test_a_section_may_be_taken_without_the_one_that_it_depends_on() -> None:
    class Stage(StageConfig):
        size: int = setting(1, "Size.", when={"elsewhere.kind": ("a",)})

    class Part(StageConfig):
        stage: Stage = Stage()

    assert Part().stage.size == 1

"""Settings of a study: `study.toml`."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Literal, Self

from pydantic import field_validator, model_validator

from napari_ulm3d.config import VesselConfig
from napari_ulm3d.config.base import StageConfig, setting
from napari_ulm3d.errors import ConfigError

__all__ = ["MEASURES", "Measure", "RegionConfig", "ScanConfig", "StudyConfig"]

Measure = Literal[
    "vascular_fraction",
    "length_density",
    "diameter_um",
    "speed_mm_s",
    "flow_nl_min",
    "perfused_fraction",
    "tortuosity",
]

#: Measures of each animal: name, description, unit.
MEASURES: dict[str, tuple[str, str]] = {
    "vascular_fraction": ("vascular volume fraction", ""),
    "length_density": ("vessel length density", "mm/mm3"),
    "diameter_um": ("mean diameter", "um"),
    "speed_mm_s": ("mean speed", "mm/s"),
    "flow_nl_min": ("mean flow of a vessel", "nl/min"),
    "perfused_fraction": ("perfused fraction", ""),
    "tortuosity": ("mean tortuosity", ""),
}

Span = tuple[float, float]


class ScanConfig(StageConfig):
    """One acquisition of one animal."""

    animal: str = setting(..., "Name of the animal; its scans at other times have the same.")
    group: str = setting(..., "Group that the animal belongs to.")
    time: str = setting("", "Time point, such as day 7. Needed if animals are scanned repeatedly.")
    results: str | None = setting(None, "Results folder of a run.")
    files: tuple[str, ...] = setting((), "Instead: files of an acquisition, which is run first.")
    settings: str | None = setting(None, "Settings file (TOML) for running these files.")
    regions: str | None = setting(
        None, "Volume of labels in the coordinates of the acquisition, for regions with a label."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.results is None) == (not self.files):
            raise ValueError(f"scan of {self.animal}: give either results or files")
        if self.settings is not None and not self.files:
            raise ValueError(f"scan of {self.animal}: settings are for files; results have theirs")
        return self

    @property
    def name(self) -> str:
        """Animal and time."""
        return f"{self.animal}, {self.time}" if self.time else self.animal


class RegionConfig(StageConfig):
    """A part of the field that is measured separately in every animal."""

    name: str = setting(..., "Name of the region.")
    box_um: tuple[Span, Span, Span] | None = setting(
        None, "From and to along z, y, x in the coordinates of the acquisition.", "um"
    )
    label: int | None = setting(None, "Instead: its number in each scan's `regions`.", ge=1)

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        if (self.box_um is None) == (self.label is None):
            raise ValueError(f"region {self.name}: give either box_um or label")
        if self.box_um is not None and any(high <= low for low, high in self.box_um):
            raise ValueError(f"region {self.name}: each span of box_um goes from low to high")
        if self.name == "whole":
            raise ValueError(
                'the name "whole" is reserved for the whole field; choose another name'
            )
        return self


class StudyConfig(StageConfig):
    """Animals, groups, time points, and how they are compared."""

    name: str = setting("Study", "Title of the page.")
    control: str | None = setting(
        None, "Group that the others are compared with. None: every pair of groups."
    )
    times: tuple[str, ...] = setting(
        (), "Time points in order; the first is the baseline. Empty: as the scans name them."
    )
    primary: tuple[Measure, ...] = setting(
        tuple(MEASURES),
        "Measures that were chosen before the data was seen. In the whole field they are corrected "
        "together; all others, and those of regions, are exploratory and corrected apart.",
    )
    test: Literal["welch", "permutation"] = setting(
        "welch",
        "Welch's t test (paired: t test of differences), or a permutation test with the same "
        "statistic (paired: of signs), which assumes no distribution.",
    )
    correction: Literal["holm", "benjamini-hochberg"] = setting(
        "holm",
        "Of p-values for the number of comparisons: Holm bounds the chance of any false finding, "
        "Benjamini-Hochberg the share of false ones among the findings.",
    )
    alpha: float = setting(0.05, "Significance level; intervals are of 1 - alpha.", gt=0, lt=0.5)
    perfused_within_um: float = setting(
        50.0, "Tissue within this distance of a vessel's wall counts as perfused.", "um", gt=0
    )
    vessels: VesselConfig | None = setting(
        None, "Settings for measuring vessels in all scans. None: those of each run."
    )
    scan: tuple[ScanConfig, ...] = setting(..., "Scans.", min_length=1)
    region: tuple[RegionConfig, ...] = setting((), "Regions of interest.")

    @field_validator("scan")
    @classmethod
    def _animals_have_one_group(cls, scans: tuple[ScanConfig, ...]) -> tuple[ScanConfig, ...]:
        groups: dict[str, str] = {}
        for scan in scans:
            if groups.setdefault(scan.animal, scan.group) != scan.group:
                raise ValueError(
                    f"animal {scan.animal} is in the groups {groups[scan.animal]} and {scan.group}; "
                    "give animals of different groups different names, or use time for treatments "
                    "of the same animal"
                )
        return scans

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        groups = tuple(dict.fromkeys(scan.group for scan in self.scan))
        if self.control is not None and self.control not in groups:
            raise ValueError(f"control {self.control} is not one of the groups {', '.join(groups)}")
        told = dict.fromkeys(scan.time for scan in self.scan)
        strange = [time for time in told if self.times and time not in self.times]
        if strange:
            raise ValueError(f"scans name the time '{strange[0]}', which is not among times")
        names = [region.name for region in self.region]
        if len(set(names)) < len(names):
            raise ValueError("two regions have the same name")
        if any(region.label is not None for region in self.region) and not any(
            scan.regions for scan in self.scan
        ):
            raise ValueError("regions have a label, but no scan names a volume of `regions`")
        return self

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups: the control first, the others in the order of the scans."""
        found = dict.fromkeys(scan.group for scan in self.scan)
        first = [] if self.control is None else [self.control]
        return tuple(dict.fromkeys([*first, *found]))

    @property
    def time_points(self) -> tuple[str, ...]:
        """Names of the time points in order."""
        return self.times or tuple(dict.fromkeys(scan.time for scan in self.scan))

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Self:
        """Read a `study.toml`; its paths are relative to the file.

        Raises
        ------
        ConfigError
            The file is missing or invalid.
        """
        home = Path(path).resolve().parent
        told = cls.from_toml(path)
        scans = tuple(_from(home, scan, path) for scan in told.scan)
        return told.replace(scan=[scan.model_dump() for scan in scans])


def _from(home: Path, scan: ScanConfig, told_in: str | PathLike[str]) -> ScanConfig:
    """The scan with absolute paths, and with patterns such as ``m1/*.mat`` expanded."""
    files: list[str] = []
    for name in scan.files:
        place = home / Path(name).expanduser()
        if place.exists():
            files.append(str(place))
            continue
        found = sorted(place.parent.glob(place.name)) if place.parent.is_dir() else []
        if not found:
            raise ConfigError(f"{told_in}: scan of {scan.name}: {place} is not there.")
        files += map(str, found)
    changes = {
        name: str(home / Path(value).expanduser())
        for name in ("results", "settings", "regions")
        if (value := getattr(scan, name)) is not None
    }
    return scan.replace(files=files, **changes)

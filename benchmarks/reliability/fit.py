"""Fit of the scores' probabilities on scenes of several kinds, each also left out once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from benchmarks.crowds.scenes import crowd_scene
from benchmarks.machine import markdown_table
from benchmarks.reliability.judged import FIRST_KEPT, judged
from benchmarks.scenes import NUMBERS, Scene, validation_scenes, with_first, with_localizer
from benchmarks.zoo.recipes import recipes
from benchmarks.zoo.store import default_cache, is_made, read
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.localize.probability import AS_IT_IS
from napari_ulm3d.pipeline import run
from napari_ulm3d.synthesis import probability, refine
from napari_ulm3d.tables import Localizations

Floats = NDArray[np.float64]

SAMPLES = (1, 2)
"""Validation scenes; those of sample 0 are for the table."""
ZOO = ("fine-quarter", "crowded", "gain", "masked", "slow", "fast", "fine-sixth", "plane-half")
LEAST = 0.05
_RIDGE = 1e-4
_NAMES = ("offset", "low", "high")


@dataclass(frozen=True)
class Cases:
    """Localizations of one scene: inputs (n, k), whether each is a hit, and its score before the fit."""

    scene: str
    inputs: Floats
    hit: NDArray[np.bool_]
    raw: Floats

    @property
    def world(self) -> str:
        """Scenes of the same kind are left out together."""
        kind = self.scene.partition("-")[0]
        return kind if kind in FIRST_KEPT else self.scene


def scenes() -> Iterator[Scene]:
    """Scenes of both generators, and the development scenes of the zoo that exist."""
    for sample in SAMPLES:
        yield from validation_scenes(200, sample)[:2]
        yield validation_scenes(100, sample)[2]
        yield from (crowd_scene(n, 1 + sample, 200 if n < 160 else 100) for n in NUMBERS)
    for recipe in recipes("dev", list(ZOO)):
        if is_made(recipe, default_cache()):
            yield read(recipe, default_cache())


def cases_of_network(scene: Scene, config: PipelineConfig) -> list[Cases]:
    """Inputs ln s and -ln(1 - s), without the present calibration."""
    least = [f"network.min_score={LEAST}", "localize.refine=none"]
    where = "napari_ulm3d.pipeline.localizers.networks.bubbles.calibration_of"
    with mock.patch(where, return_value=AS_IT_IS):
        found = run(
            scene.acquisition, with_localizer(config, "network").with_settings(least)
        ).localizations
    counted, hit = judged(scene, found)
    s = np.clip(found.table["score"].to_numpy(np.float64)[counted], 1e-6, 1 - 1e-6)
    inputs = np.column_stack([np.ones(len(s)), np.log(s), -np.log1p(-s)])
    return [Cases(scene.name, inputs, hit[counted], s)]


def cases_of_refined(scene: Scene, config: PipelineConfig) -> list[Cases]:
    """Inputs of `synthesis.probability`, with either localizer, of improbable bubbles too."""
    cases = []
    names = [f"evidence {k}" for k in range(len(probability.COEFFICIENTS))]
    for localizer in ("network", "gaussian"):
        patched = {"_table": _with_inputs(refine._table, names), "_LEAST_PROBABILITY": 0.0}
        with mock.patch.multiple(refine, **patched):
            refined = with_localizer(config, localizer).with_settings(["localize.refine=window"])
            found = run(scene.acquisition, refined).localizations
        counted, hit = judged(scene, found)
        inputs = found.table[names].to_numpy(np.float64)[counted]
        raw = found.table["score"].to_numpy(np.float64)[counted]
        cases.append(Cases(scene.name, inputs, hit[counted], raw))
    return cases


def _with_inputs(table: Callable[..., Localizations], names: list[str]) -> Callable[..., Any]:
    """`refine._table` that adds the inputs of the probability as columns."""

    def made(*given: Any) -> Localizations:
        bubbles, keep, fit, *others = given
        out = table(bubbles, keep, fit, *others)
        inputs = probability.evidence_of_hits(bubbles, keep, fit)
        columns = dict(zip(names, inputs.T, strict=True))
        return replace(out, table=out.table.assign(**columns))

    return made


def fitted(cases: list[Cases]) -> Floats:
    """Coefficients of the logistic regression; every scene has the same weight."""
    inputs = np.concatenate([one.inputs for one in cases])
    hit = np.concatenate([one.hit for one in cases]).astype(float)
    weight = np.concatenate([np.full(len(one.hit), 1 / len(one.hit) / len(cases)) for one in cases])
    mean = weight @ inputs
    spread = np.sqrt(weight @ (inputs - mean) ** 2)
    mean[0], spread[0] = 0.0, 1.0  # the offset
    scaled = (inputs - mean) / spread

    def loss(b: Floats) -> tuple[float, Floats]:
        at = scaled @ b
        ridge = _RIDGE * np.concatenate([[0.0], b[1:]])
        value = weight @ (np.logaddexp(0, at) - hit * at) + ridge @ b
        return float(value), scaled.T @ (weight * (expit(at) - hit)) + 2 * ridge

    b = minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="BFGS").x / spread
    b[0] -= mean[1:] @ b[1:]
    return np.asarray(b)


def report(cases: list[Cases], names: tuple[str, ...]) -> str:
    """Coefficients, and for every scene the log loss and the share of hits of those given .8 to .9."""
    every = fitted(cases)
    rows = []
    for one in cases:
        without = fitted([other for other in cases if other.world != one.world])
        row = [one.scene]
        for p in (one.raw, expit(one.inputs @ every), expit(one.inputs @ without)):
            p = np.clip(p, 1e-6, 1 - 1e-6)
            loss = -np.where(one.hit, np.log(p), np.log1p(-p)).mean()
            some = (p >= 0.8) & (p < 0.9)
            share = f"{one.hit[some].mean():.2f} ({some.sum()})" if some.any() else "-"
            row += [f"{loss:.3f}", share]
        rows.append(row)
    header = ["scene", "before: log loss", ".8 to .9", "fitted", ".8 to .9", "left out", ".8 to .9"]
    numbers = ", ".join(f"{name}: {b:.2f}" for name, b in zip(names, every, strict=True))
    return f"{numbers}\n\n{markdown_table(header, rows)}"


def fit(what: str, config: PipelineConfig) -> str:
    """Run the scenes, fit, and report; `what` is ``network`` or ``refined``."""
    of = cases_of_network if what == "network" else cases_of_refined
    cases: list[Cases] = []
    for scene in scenes():
        first = FIRST_KEPT.get(scene.name.partition("-")[0])
        cases += of(scene, config if first is None else with_first(config, first))
        print(scene.name, len(cases[-1].hit), flush=True)
    names = _NAMES if what == "network" else tuple(probability.COEFFICIENTS)
    return report(cases, names)

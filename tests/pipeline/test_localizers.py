"""The registry of localizers, and the plan that carries a run to them."""

from __future__ import annotations

import pickle
from typing import get_args

import numpy as np
import pytest

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.base import StageConfig
from napari_ulm3d.config.localize import Localizer
from napari_ulm3d.networks.registry import ARCHITECTURES
from napari_ulm3d.pipeline.attempts import attempt_block
from napari_ulm3d.pipeline.blocks import acquisition_psf, localize_block
from napari_ulm3d.pipeline.localizers import LOCALIZERS, localizer_of, network_localizers
from napari_ulm3d.pipeline.plan import BlockPlan


def plan_of(acquisition, config: PipelineConfig) -> BlockPlan:
    first = acquisition.blocks(config.load.frames_per_block)[0]
    psf, _ = acquisition_psf(acquisition, config, first)
    return BlockPlan(acquisition, config, psf, localizer_of(config).weights(acquisition, config))


def test_the_settings_offer_what_the_registry_has() -> None:
    assert set(get_args(Localizer)) == set(LOCALIZERS)
    assert all(name == localizer.name for name, localizer in LOCALIZERS.items())
    for localizer in network_localizers().values():
        assert localizer.architectures
        assert set(localizer.architectures) <= set(ARCHITECTURES)


@pytest.mark.parametrize("name", LOCALIZERS)
def test_sections_are_sections_of_the_settings(name: str) -> None:
    for section in LOCALIZERS[name].sections:
        assert isinstance(getattr(PipelineConfig(), section), StageConfig)


@pytest.mark.parametrize("name", ["gaussian", "network"])
def test_a_plan_that_travelled_gives_the_same_result(flow, name: str) -> None:
    config = PipelineConfig(device="cpu").with_settings(
        ["load.frames_per_block=20", "clutter.svd_range=2,200", f"localize.localizer={name}"]
    )
    plan = plan_of(flow.acquisition, config)
    block = flow.acquisition.blocks(20)[1]
    here = localize_block(block, plan, lambda: False)
    there = attempt_block(block, pickle.loads(pickle.dumps(plan.only(block))), lambda: False)
    assert there.error is None
    assert there.result is not None
    assert len(here.localizations) > 0
    assert here.localizations.table.equals(there.result.localizations.table)
    assert np.array_equal(here.power_doppler, there.result.power_doppler)
    assert here.facts == there.result.facts


def test_a_plan_sent_to_a_worker_holds_one_file(flow) -> None:
    plan = plan_of(flow.acquisition, PipelineConfig())
    block = flow.acquisition.blocks(20)[1]
    alone = plan.only(block)
    assert alone.acquisition.sources == (block.source,)
    assert alone.acquisition.grid == plan.acquisition.grid
    assert alone.psf is plan.psf

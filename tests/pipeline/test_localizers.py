"""The registry of localizers, and the plan that carries a run to them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from napari_ulm3d.config import NetworkConfig, PipelineConfig
from napari_ulm3d.config.base import StageConfig
from napari_ulm3d.config.localize import Localizer
from napari_ulm3d.config.methods.networks import USUAL_NETWORK, network_entries
from napari_ulm3d.localize.subvoxel.registry import LOCALIZERS as SUBVOXEL
from napari_ulm3d.networks.registry import ARCHITECTURES
from napari_ulm3d.pipeline.attempts import attempt_block
from napari_ulm3d.pipeline.blocks import acquisition_psf, filter_block, localize_block
from napari_ulm3d.pipeline.localizers import localizer_of, network_named
from napari_ulm3d.pipeline.plan import BlockPlan


def plan_of(acquisition, config: PipelineConfig) -> BlockPlan:
    first = acquisition.blocks(config.load.block_frames)[0]
    psf, _ = acquisition_psf(acquisition, config, first)
    return BlockPlan(acquisition, config, psf, localizer_of(config).weights(acquisition, config))


NAMES = get_args(Localizer)


def test_the_settings_offer_the_networks_and_the_subvoxel_localizers() -> None:
    assert {*SUBVOXEL, *network_entries()} == set(NAMES)
    assert USUAL_NETWORK in network_entries()


@pytest.mark.parametrize("name", NAMES)
def test_every_word_names_its_localizer(name: str) -> None:
    localizer = localizer_of(PipelineConfig().with_settings([f"localize.localizer={name}"]))
    assert localizer.name == name
    for section in localizer.sections:
        assert isinstance(getattr(PipelineConfig(), section), StageConfig)


@pytest.mark.parametrize("name", network_entries())
def test_networks_say_what_they_run(name: str) -> None:
    localizer = network_named(name)
    assert localizer.architectures
    assert set(localizer.architectures) <= set(ARCHITECTURES)
    assert (network_entries()[name].settings or set()) <= set(NetworkConfig.model_fields)


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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaussian", "network"])
def test_refined_blocks_are_kept_under_another_key_and_have_velocities(flow, name: str) -> None:
    settings = ["clutter.svd_range=2,200", f"localize.localizer={name}"]
    plain = PipelineConfig(device="cpu").with_settings(["load.frames_per_block=20", *settings])
    config = plain.with_settings(["localize.refine=window"])
    plan = plan_of(flow.acquisition, config)
    one = localizer_of(config)
    assert one.key_facts(plan) != one.key_facts(plan_of(flow.acquisition, plain))
    faster = plan_of(flow.acquisition, config.with_settings(["link.max_speed_mm_s=50"]))
    assert one.key_facts(plan) != one.key_facts(faster)
    found = localize_block(flow.acquisition.blocks(20)[1], plan, lambda: False).localizations
    assert len(found) > 0
    assert np.isfinite(found.table["vz_mm_s"]).any()
    assert found.frames.min() >= 20
    assert found.frames.max() < 40


def test_a_part_of_a_block_is_refined_as_if_there_was_no_filter(flow) -> None:
    """The preview localizes a few frames of a filtered block."""
    config = PipelineConfig(device="cpu").with_settings(
        ["load.frames_per_block=20", "clutter.svd_range=2,200", "localize.refine=window"]
    )
    block = flow.acquisition.blocks(20)[1]
    whole = filter_block(block, flow.acquisition, config)
    cut = replace(block, first_frame=25, start=block.start + 5, stop=block.start + 15)
    found = localize_block(
        cut, plan_of(flow.acquisition, config), lambda: False, whole.part(5, 15)
    ).localizations
    assert set(found.frames.tolist()) <= set(range(25, 35))
    assert len(found) > 0


def test_an_envelope_is_left_as_it_was_found(flow) -> None:
    acquisition = flow.acquisition
    frames = np.abs(acquisition.read(0, 20)).astype(np.float32)
    envelope = type(acquisition).from_array(
        frames, acquisition.grid.spacing_um, acquisition.rate_hz, wavelength_um=100.0, name="env"
    )
    plain = PipelineConfig(device="cpu").with_settings(["psf.fwhm_voxels=3,3,3"])
    config = plain.with_settings(["localize.refine=frame"])
    block = envelope.blocks(20)[0]
    tables = [
        localize_block(block, plan_of(envelope, each), lambda: False).localizations.table
        for each in (plain, config)
    ]
    assert tables[0].equals(tables[1])
    assert any("envelope" in said for said in localizer_of(config).advice(envelope, config))

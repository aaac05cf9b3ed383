"""Estimated tracks by chance, compared with scenes in which false localizations are known."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_ulm3d.config import LinkConfig, PipelineConfig
from napari_ulm3d.link import chance_tracks, link, link_frames
from napari_ulm3d.link.chains import chain_labels
from napari_ulm3d.tables import Localizations, Tracks

RATE = 260.0
AUTO = LinkConfig(min_length_frames=None)
EDGE_UM = 3000.0
LIMIT_MM_S = 30.0  # of the tracks whose truth is known


def scene(
    bubbles: int, noise: int, *, frames: int = 120, seen: float = 0.85, seed: int = 0
) -> tuple[Localizations, np.ndarray]:
    """Bubbles that flow through tubes, with random false localizations; also returns which."""
    rng = np.random.default_rng(seed)
    begin, ends = rng.uniform(0, EDGE_UM, (2, bubbles, 3))
    pace = rng.uniform(2, 15, bubbles) * 1000 / RATE / np.linalg.norm(ends - begin, axis=1)
    phase = rng.uniform(0, 1, bubbles)
    rows = []
    for frame in range(frames):
        along = ((phase + pace * frame) % 1)[:, None]
        place = begin + along * (ends - begin) + rng.normal(0, 12, (bubbles, 3))
        place = place[rng.random(bubbles) < seen]
        false = rng.uniform(0, EDGE_UM, (rng.poisson(noise), 3))
        rows += [(frame, *p, 0.0) for p in place] + [(frame, *p, 1.0) for p in false]
    table = np.array(rows)
    n = len(table)
    found = Localizations.from_arrays(
        table[:, 0].astype(np.int64), table[:, 1:4], np.full(n, 12.0), np.ones(n), RATE
    )
    return found, table[:, 4] > 0


def truly_false(found: Localizations, false: np.ndarray, length: int) -> float:
    """Fraction of the tracks of at least a length with mostly false localizations."""
    label = chain_labels(found.frames, found.positions_um, [LIMIT_MM_S * 1000 / RATE])
    points = np.bincount(label)
    of_noise = np.bincount(label, weights=false) > points / 2
    return float(of_noise[points >= length].mean())


@pytest.mark.parametrize(("bubbles", "noise"), [(10, 60), (40, 60), (40, 250), (160, 250)])
def test_the_share_of_false_tracks_is_within_a_factor_of_one_and_a_half(
    bubbles: int, noise: int
) -> None:
    found, false = scene(bubbles, noise)
    chance = chance_tracks(found, RATE, LinkConfig(max_speed_mm_s=LIMIT_MM_S))
    for length in (2, 3):
        true = truly_false(found, false, length)
        if true > 0.03:  # below this, a handful of tracks decides
            assert true / 1.5 < chance.share(length) < true * 1.5
        else:
            assert chance.share(length) < 0.05


def test_the_plain_control_includes_bubbles() -> None:
    found, false = scene(160, 60)
    chance = chance_tracks(found, RATE, LinkConfig())
    plain = chance.permuted[2:].sum() / chance.tracks[2:].sum()
    assert plain > 3 * truly_false(found, false, 2)
    assert chance.by_chance[2:].sum() <= chance.permuted[2:].sum()


def test_track_counts_agree_with_the_linker() -> None:
    found, _ = scene(20, 20)
    chance = chance_tracks(found, RATE, LinkConfig())
    lengths = np.bincount(link(found, RATE, LinkConfig(min_length_frames=2)).table["track_id"])
    assert (
        chance.tracks[2:].tolist()
        == np.bincount(lengths, minlength=len(chance.tracks))[2:].tolist()
    )
    assert chance.tracks[2:].sum() > 0
    again = chance_tracks(found, RATE, LinkConfig(min_length_frames=30))
    np.testing.assert_array_equal(chance.by_chance, again.by_chance)


def test_auto_selects_the_shortest_length_with_under_a_twentieth_false_tracks() -> None:
    found, false = scene(40, 250)
    chance = chance_tracks(found, RATE, LinkConfig())
    length = chance.least_length()
    assert length > 2
    assert truly_false(found, false, length) < 0.05
    assert chance.permuted[length - 1 :].sum() >= 0.05 * chance.tracks[length - 1 :].sum()
    given_ = link(found, RATE, LinkConfig(min_length_frames=length))
    assert link(found, RATE, AUTO).table.equals(given_.table)


def test_no_length_is_accepted_for_pure_noise() -> None:
    found, _ = scene(1, 400, frames=30, seen=0.0)
    chance = chance_tracks(found, RATE, LinkConfig())
    assert chance.share(2) > 0.9
    assert link(found, RATE, AUTO).n_tracks <= 1


@given(
    cuts=st.lists(st.integers(0, 400), max_size=5), breaks=st.sets(st.integers(1, 29), max_size=2)
)
@settings(max_examples=15, deadline=None)
def test_the_choice_does_not_depend_on_the_chunks(cuts: list[int], breaks: set[int]) -> None:
    found, _ = scene(8, 10, frames=30)
    edges = [0, *sorted(min(cut, len(found)) for cut in cuts), len(found)]
    chunks = [Localizations(found.table.iloc[low:high]) for low, high in pairwise(edges)]
    heard: list[object] = []
    answers = list(
        link_frames(iter(chunks), RATE, AUTO, breaks=sorted(breaks), chosen=heard.append)
    )
    assert len(answers) == len(chunks) + 1
    assert len(heard) == 1
    whole = link(found, RATE, AUTO, breaks=breaks)
    joined = Tracks.concat(answers).table.sort_values(["track_id", "frame"], ignore_index=True)
    assert joined.equals(whole.table) or not len(whole)


def test_a_long_stream_is_held_back_only_until_the_sample_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_ulm3d.link.chance._MOST_ROWS", 500)
    monkeypatch.setattr("napari_ulm3d.link.learning.SAMPLE_ROWS", 200)
    monkeypatch.setattr("napari_ulm3d.link.speed.SAMPLE_ROWS", 200)
    found, _ = scene(10, 5, frames=120)
    chunks = [
        Localizations(found.table[found.frames // 10 == k].reset_index(drop=True))
        for k in range(12)
    ]
    answers = list(link_frames(iter(chunks), RATE, AUTO))
    assert len(answers) == len(chunks) + 1
    assert any(len(answer) for answer in answers[:-1])
    whole = link(found, RATE, AUTO)
    joined = Tracks.concat(answers).table.sort_values(["track_id", "frame"], ignore_index=True)
    assert joined.equals(whole.table)


def test_no_track_crosses_a_break_in_the_control_either() -> None:
    found, _ = scene(20, 0, frames=40)
    every = list(range(1, 40))
    chance = chance_tracks(found, RATE, LinkConfig(), breaks=every)
    assert chance.tracks[2:].sum() == chance.permuted[2:].sum() == 0


def test_labels_without_gaps_agree_with_the_builder() -> None:
    found, _ = scene(40, 40, frames=30)
    kept = ~np.isin(found.frames, [7, 8])
    frame, place = found.frames[kept], found.positions_um[kept]
    shift = np.random.default_rng(0).normal(0, 20, place.shape)
    gate = 90.0
    # A second gate that nothing passes selects the code path of the builder.
    slow = chain_labels(frame, place, [gate, 1e-9], shift, [15])
    np.testing.assert_array_equal(chain_labels(frame, place, [gate], shift, [15]), slow)


def test_no_localizations_are_not_an_error() -> None:
    chance = chance_tracks(Localizations.empty(), RATE, LinkConfig())
    assert np.isnan(chance.share(2))
    assert len(chance.to_table()) == 1
    assert len(link(Localizations.empty(), RATE, AUTO)) == 0


def test_the_word_auto_is_accepted_on_the_command_line_and_kept() -> None:
    config = PipelineConfig().with_settings(["link.min_length_frames=auto"])
    assert config.link.min_length_frames is None
    assert PipelineConfig().with_settings(config.assignments()) == config
    assert PipelineConfig().link.min_length_frames == 9

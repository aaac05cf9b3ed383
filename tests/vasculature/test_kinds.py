"""Arteries and veins are told by how they branch along the flow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.vasculature.measures.kinds import arterial_evidence, kinds_of


def circulation(levels: int) -> tuple[pd.DataFrame, np.ndarray]:
    """A binary tree that divides `levels` times, capillaries, and its mirror image that joins again."""
    rows, kinds = [], []
    names: dict[tuple[str, int, int], int] = {}

    def node(side: str, level: int, k: int) -> int:
        return names.setdefault((side, level, k), len(names))

    for level in range(levels):
        for k in range(2**level):
            up, down = (
                (node("in", level - 1, k // 2) if level else node("start", 0, 0)),
                node("in", level, k),
            )
            rows.append((up, down, 2.0 ** (levels - level)))
            kinds.append("artery")
            up = node("out", level - 1, k // 2) if level else node("end", 0, 0)
            rows.append((node("out", level, k), up, 2.0 ** (levels - level)))
            kinds.append("vein")
    for k in range(2**levels):
        rows.append((node("in", levels - 1, k // 2), node("out", levels - 1, k // 2), 1.0))
        kinds.append("capillary")
    table = pd.DataFrame(rows, columns=["node_a", "node_b", "flow_nl_min"])
    return table, np.array(kinds)


def test_a_whole_circulation_is_told_apart():
    table, true = circulation(5)
    found = np.array(kinds_of(table))
    large = (true != "capillary") & (table["flow_nl_min"] >= 4).to_numpy()
    assert (found[large] == true[large]).all()
    assert (found[true == "capillary"] == "unknown").all()
    assert not ((found == "artery") & (true == "vein")).any()
    assert not ((found == "vein") & (true == "artery")).any()


def test_reversed_flow_exchanges_arteries_and_veins():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "node_a": rng.integers(0, 60, 120),
            "node_b": rng.integers(0, 60, 120),
            "flow_nl_min": np.where(rng.random(120) < 0.2, np.nan, rng.exponential(2, 120)),
        }
    )
    back = table.rename(columns={"node_a": "node_b", "node_b": "node_a"})
    evidence = arterial_evidence(table)
    np.testing.assert_allclose(arterial_evidence(back), -evidence, atol=1e-9)
    assert (evidence[table["flow_nl_min"].isna()] == 0).all()
    other = {"artery": "vein", "vein": "artery", "unknown": "unknown"}
    assert kinds_of(back) == [other[kind] for kind in kinds_of(table)]


@pytest.mark.parametrize("seed", range(3))
def test_nine_in_ten_stay_right_if_a_third_of_the_vessels_is_missing(seed):
    table, true = circulation(8)
    rng = np.random.default_rng(seed)
    kept = rng.random(len(table)) > 0.33 * (table["flow_nl_min"] < 8)
    table, true = table[kept].reset_index(drop=True), true[kept]
    turned = rng.random(len(table)) < 0.03
    ends = table[["node_a", "node_b"]].to_numpy()
    table[["node_a", "node_b"]] = np.where(turned[:, None], ends[:, ::-1], ends)
    table.loc[rng.random(len(table)) < 0.1, "flow_nl_min"] = np.nan
    found = np.array(kinds_of(table))
    named = (found != "unknown") & (true != "capillary")
    assert named.sum() > 50
    assert (found[named] == true[named]).mean() >= 0.9


def test_graphs_without_junctions_and_without_vessels_are_unknown():
    table = pd.DataFrame({"node_a": [0, 2], "node_b": [1, 3], "flow_nl_min": [1.0, np.nan]})
    assert kinds_of(table) == ["unknown", "unknown"]
    assert kinds_of(table.iloc[:0]) == []
    ring = pd.DataFrame({"node_a": [0], "node_b": [0], "flow_nl_min": [1.0]})
    assert kinds_of(ring) == ["unknown"]

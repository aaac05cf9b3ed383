"""Reading networks: SWC trees, tables, Secomb's files, and invalid files."""

from __future__ import annotations

import contextlib
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_ulm3d.errors import InputError
from napari_ulm3d.simulate.vasculature import read_network_tables, read_secomb, read_swc

TREE = """# a comment
1 2 1.0 2.0 3.0 4.0 -1
2 2 1.0 2.0 13.0 2.0 1   # one more
4 2 1.0 12.0 13.0 1.0 2

3 2 11.0 2.0 13.0 1.0 2
"""


def test_a_tree_in_the_order_z_y_x(tmp_path: Path):
    path = tmp_path / "tree.swc"
    path.write_text(TREE)
    network = read_swc(path)
    assert network.nodes_um.tolist() == [[3, 2, 1], [13, 2, 1], [13, 12, 1], [13, 2, 11]]
    assert network.segments.tolist() == [[0, 1], [1, 2], [1, 3]]
    assert network.radius_um == pytest.approx([3, 1.5, 1.5])
    packed = tmp_path / "tree.swc.gz"
    packed.write_bytes(gzip.compress(TREE.encode()))
    again = read_swc(packed, um_per_unit=2)
    assert again.name == network.name == "tree"
    assert again.nodes_um == pytest.approx(2 * network.nodes_um)
    assert again.radius_um == pytest.approx(2 * network.radius_um)


def test_points_at_the_same_position_are_merged(tmp_path: Path):
    path = tmp_path / "tree.swc"
    path.write_text("1 2 0 0 0 1 -1\n2 2 0 0 0 1 1\n3 2 0 0 0 1 2\n4 2 5 0 0 1 3\n")
    assert read_swc(path).segments.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no points"),
        ("1 2 0 0 0 1\n", "line 1 is not a point"),
        ("1 2 0 0 zero 1 -1\n", "line 1 is not a point"),
        ("1 2 0 0 nan 1 -1\n", "line 1 is not a point"),
        ("1 2 0 0 0 1 -1\n1 2 0 0 5 1 1\n", "id 1 twice"),
        ("1 2 0 0 0 1 -1\n2 2 0 0 5 1 7\n", "parent 7"),
        ("1 2 0 0 0 1 2\n2 2 0 0 5 1 1\n", "no root"),
        ("0 2 0 0 9 1 -1\n1 2 0 0 0 1 2\n2 2 0 0 5 1 1\n", "form a loop"),
        ("1 2 0 0 0 0 -1\n2 2 0 0 5 1 1\n", "point 1 has no positive radius"),
        ("1 2 0 0 0 1 -1\n", "no two connected points"),
        ("1.5 2 0 0 0 1 -1\n", "whole numbers"),
    ],
)
def test_bad_trees_are_refused_in_one_sentence(tmp_path: Path, text, said):
    path = tmp_path / "bad.swc"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_swc(path)
    assert "bad.swc" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_archive_and_a_missing_file_are_refused(tmp_path: Path):
    path = tmp_path / "torn.swc.gz"
    path.write_bytes(gzip.compress(TREE.encode())[:-12])
    with pytest.raises(InputError, match="cannot be read"):
        read_swc(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_swc(tmp_path / "none.swc")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.one_of(st.binary(max_size=300), st.text("0123456789 .-e#\nnaif,", max_size=200)))
def test_any_bytes_give_a_network_or_an_input_error(tmp_path: Path, data):
    path = tmp_path / "any.swc"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    for read in (read_swc, read_secomb, lambda p: read_network_tables(p, p)):
        with contextlib.suppress(InputError):
            read(path)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 60))
def test_any_tree_survives_a_round_trip(tmp_path: Path, seed, n):
    rng = np.random.default_rng(seed)
    ids = rng.permutation(10 * n)[:n]
    parent = np.array([-1, *(rng.integers(0, k) for k in range(1, n))])
    position = rng.uniform(-1e3, 1e3, (n, 3)).round(6)
    radius = rng.uniform(0.5, 30, n).round(6)
    rows = [
        f"{ids[k]} 0 {position[k, 2]} {position[k, 1]} {position[k, 0]} {radius[k]} "
        f"{-1 if parent[k] < 0 else ids[parent[k]]}"
        for k in rng.permutation(n)
    ]
    path = tmp_path / "any.swc"
    path.write_text("\n".join(rows))
    network = read_swc(path)
    got = {tuple(map(tuple, network.nodes_um[s])) for s in network.segments}
    wanted = {(tuple(position[parent[k]]), tuple(position[k])) for k in range(1, n)}
    assert got == wanted
    assert network.radius_um.sum() == pytest.approx(
        sum((radius[k] + radius[parent[k]]) / 2 for k in range(1, n))
    )


def write_tables(folder: Path, **changes) -> tuple[Path, Path]:
    nodes = pd.DataFrame({"node": [7, 3, 5], "x_um": [0, 1, 2.0], "y_um": 0.0, "z_um": [4, 5, 6.0]})
    segments = pd.DataFrame(
        {"node_from": [3, 7], "node_to": [5, 3], "diam_um": [4.0, 6.0], "flow_nl_min": [1.0, -1.0]}
    )
    for name, value in changes.items():
        segments[name] = value
    nodes.to_csv(folder / "n.csv", index=False)
    segments.to_csv(folder / "s.csv", index=False)
    return folder / "n.csv", folder / "s.csv"


def test_tables_of_nodes_and_segments(tmp_path: Path):
    network = read_network_tables(*write_tables(tmp_path, kind=["artery", "vein"]))
    assert network.nodes_um.tolist() == [[5, 0, 1], [6, 0, 2], [4, 0, 0]]
    assert network.segments.tolist() == [[0, 1], [2, 0]]
    assert network.radius_um.tolist() == [2, 3]
    assert network.flow_nl_min.tolist() == [1, -1]
    assert network.kind.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"node_to": [5, 9]}, "node 9"),
        ({"diam_um": ["wide", 2]}, "no number in column diam_um, row 1"),
        ({"diam_um": [-1, 2]}, "positive radius"),
        ({"kind": ["artery", "aorta"]}, "unknown vessel kind in row 2"),
        ({"node_to": [3, 3]}, "to itself"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, changes, said):
    with pytest.raises(InputError, match=said):
        read_network_tables(*write_tables(tmp_path, **changes))


def test_tables_without_a_needed_column_are_refused(tmp_path: Path):
    nodes, segments = write_tables(tmp_path)
    pd.read_csv(segments).drop(columns="diam_um").to_csv(segments, index=False)
    with pytest.raises(InputError, match="neither a column radius_um nor a column diam_um"):
        read_network_tables(nodes, segments)
    with pytest.raises(InputError, match="lacks the column"):
        read_network_tables(segments, segments)


def test_a_truncated_secomb_file_is_refused(tmp_path: Path):
    path = tmp_path / "Network.dat"
    path.write_text("title\n1 1 1 box\n1 1 1\n1\n1\n6\n3 segments\nheads\n1 5 1 2 5 1 .4\n")
    with pytest.raises(InputError, match="ends within its 3 segments"):
        read_secomb(path)


@pytest.mark.parametrize(
    "name",
    [
        "FlowEstimateV1_NetworkNew",
        "FlowEstimateV2_GPU_Network",
        "GreensV4_GPU_network",
        "GreensV4_Tumor_FaDu1012_network",
    ],
)
def test_published_networks_and_their_tables_agree(shared_data: Path, name):
    folder = shared_data / "vasculature" / "mouse_cortex_flow"
    network, boundary = read_secomb(folder / f"{name}.dat")
    table = read_network_tables(folder / f"{name}_nodes.csv", folder / f"{name}_segments.csv")
    assert (table.segments == network.segments).all()
    assert table.nodes_um == pytest.approx(network.nodes_um, abs=1e-3)
    assert table.flow_nl_min == pytest.approx(network.flow_nl_min, abs=1e-5)
    if boundary.flow_node.size and not boundary.pressure_node.size:
        # The stated flows at the ends agree with those of the segments there.
        inflow = network.net_inflow_nl_min
        assert boundary.flow_nl_min == pytest.approx(inflow[boundary.flow_node], abs=1e-3)


def test_a_traced_tree_is_read_correctly(crops: Path):
    path = crops / "mouse_cortex.swc.gz"
    rows = np.loadtxt(path, comments="#")
    network = read_swc(path)
    assert network.components()[0] == 1
    assert network.n_segments == network.n_nodes - 1 == len(rows) - 1
    ids, parents = rows[:, 0].astype(int), rows[:, 6].astype(int)
    place = {number: row[[4, 3, 2]] for number, row in zip(ids, rows, strict=True)}
    inner = [(a, b) for a, b in zip(ids, parents, strict=True) if b in place]
    expected = sum(np.linalg.norm(place[a] - place[b]) for a, b in inner)
    assert network.length_um.sum() == pytest.approx(expected, rel=1e-6)


def test_published_trees_are_trees(shared_data: Path):
    for path in sorted((shared_data / "vasculature" / "mouse_cortex_swc").glob("*.swc.gz"))[:3]:
        network = read_swc(path)
        assert network.components()[0] == 1
        assert network.n_segments == network.n_nodes - 1

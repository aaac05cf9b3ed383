"""Files made to do harm: pickles, and ways out of the file and its folder."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from fault_samples import GREY, IQ, write_samples
from scipy.io import savemat

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError, UlmError
from napari_ulm3d.io.open.acquisition import describe, open_acquisition
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.networks.weights import load_network, save_weights

GIVEN = LoadConfig(voxel_um=(100.0, 150.0, 150.0), rate_hz=500.0)


class Payload:
    """What a pickle can do: its mark appears when somebody opens it."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def read(path: Path, **settings: Any) -> None:
    open_acquisition(path, GIVEN.replace(**settings)).read(0, 1)


# --- pickles -----------------------------------------------------------------------------


def pickled_npy(path: Path, payload: Payload) -> None:
    np.save(path, np.full((4, 5, 3), payload, object), allow_pickle=True)


def pickled_npz(path: Path, payload: Payload) -> None:
    np.savez(path, IQ=np.full((4, 5, 3), payload, object), note=np.array(payload, object))


def pickled_beside(path: Path, payload: Payload) -> None:
    np.savez(path, IQ=IQ, rate_hz=np.array(payload, object))


def zarr_with(codec: dict[str, str], place: str) -> Callable[[Path, Payload], None]:
    def write(path: Path, payload: Payload) -> None:
        import pickle

        array = zarr.create_array(
            str(path), shape=(4, 5, 3, 2), chunks=(4, 5, 3, 2), dtype="f4", zarr_format=2
        )
        array[...] = 1
        header = json.loads((path / ".zarray").read_text())
        header |= {"compressor": None, "filters": None}
        header[place] = codec if place == "compressor" else [codec]
        (path / ".zarray").write_text(json.dumps(header))
        (path / "0.0.0.0").write_bytes(pickle.dumps(payload))

    return write


@pytest.mark.parametrize(
    ("name", "write", "opens"),
    [
        ("a.npy", pickled_npy, False),
        ("a.npz", pickled_npz, False),
        ("a.npz", pickled_beside, True),
        ("a.zarr", zarr_with({"id": "pickle"}, "compressor"), False),
        ("a.zarr", zarr_with({"id": "pickle"}, "filters"), False),
    ],
    ids=["npy", "npz", "beside", "zarr compressor", "zarr filter"],
)
@pytest.mark.parametrize("variable", [None, "IQ", "note"])
def test_no_pickle_is_opened(
    tmp_path: Path,
    name: str,
    write: Callable[[Path, Payload], None],
    opens: bool,
    variable: str | None,
) -> None:
    mark, path = tmp_path / "mark", tmp_path / name
    write(path, Payload(mark))
    if opens and variable != "note":
        read(path, variable=variable)
    else:
        with pytest.raises(InputError):
            read(path, variable=variable)
    with suppress(UlmError):
        describe(path, GIVEN)
    assert not mark.exists()


def test_the_payload_would_run() -> None:
    """The tests above are no tests if their pickles were harmless."""
    import pickle
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        mark = Path(folder, "mark")
        pickle.loads(pickle.dumps(Payload(mark)))
        assert mark.exists()


@pytest.mark.parametrize("kind", ["zip", "legacy"])
def test_weights_are_never_unpickled(tmp_path: Path, kind: str) -> None:
    import torch

    mark, path = tmp_path / "mark", tmp_path / "net.safetensors"
    torch.save({"w": Payload(mark)}, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(InputError, match="pickle"):
        load_network(path)
    assert not mark.exists()


def test_weights_are_held_against_the_hash_on_their_card(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    from napari_ulm3d.networks import build

    path = tmp_path / "net.safetensors"
    network = build("MaskCNN")
    card = save_weights(path, network)
    assert len(card.weights_sha256) == 64
    assert load_network(path)[1] == card
    content = path.read_bytes()
    for place in (len(content) - 1, len(content) - 200):  # among the weights, behind the header
        damaged = bytearray(content)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="other weights than its card states"):
            load_network(path)
    for length in range(0, len(content), len(content) // 40):
        path.write_bytes(content[:length])
        with pytest.raises(InputError, match=r"net\.safetensors"):
            load_network(path)
    path.write_bytes(content)
    # A card of before there were hashes is not refused.
    with safe_open(str(path), framework="pt") as file:
        metadata = {
            key: value.replace(card.weights_sha256, "") for key, value in file.metadata().items()
        }
    save_file(load_file(path), path, metadata)
    load_network(path)


def test_matlab_objects_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    savemat(path, {"IQ": IQ.transpose(1, 3, 2, 0), "cell": np.array([1, "a"], object)})
    whole = path.read_bytes()
    # An opaque object (class 17) as MATLAB writes one: flags, name, and the name of its system.
    body = struct.pack("<IIII", 6, 8, 17, 0)
    for text in (b"thing", b"MCOS", b"string"):
        body += struct.pack("<II", 1, len(text)) + text.ljust(8, b"\0")
    path.write_bytes(whole + struct.pack("<II", 14, len(body)) + body)
    assert [v.name for v in describe(path, GIVEN).variables] == ["IQ"]
    np.testing.assert_array_equal(open_acquisition(path, GIVEN).read(0, 4), IQ)
    with pytest.raises(InputError, match="has no array 'thing'"):
        open_acquisition(path, GIVEN.replace(variable="thing"))


# --- ways out of the file and its folder ------------------------------------------------


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Files outside of the folder of data, which hold what could be read as frames."""
    folder = tmp_path / "private"
    folder.mkdir()
    with h5py.File(folder / "secret.h5", "w") as file:
        file["IQ"] = IQ
        file["z"] = np.arange(5) * 0.1
        file["z"].attrs["units"] = "mm"
    (folder / "secret.raw").write_bytes(GREY.tobytes())
    (tmp_path / "data").mkdir()
    return folder


def external_link(file: h5py.File, secret: Path) -> None:
    file["IQ"] = h5py.ExternalLink(str(secret / "secret.h5"), "/IQ")


def soft_link_through_an_external_one(file: h5py.File, secret: Path) -> None:
    file["door"] = h5py.ExternalLink(str(secret / "secret.h5"), "/")
    file["IQ"] = h5py.SoftLink("/door/IQ")


def external_storage(file: h5py.File, secret: Path) -> None:
    file.create_dataset(
        "IQ", GREY.shape, "u1", external=[(str(secret / "secret.raw"), 0, GREY.nbytes)]
    )


def virtual_dataset(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout(IQ.shape, np.complex64)
    layout[...] = h5py.VirtualSource(str(secret / "secret.h5"), "IQ", shape=IQ.shape)
    file.create_virtual_dataset("IQ", layout)


@pytest.mark.parametrize(
    "build",
    [external_link, soft_link_through_an_external_one, external_storage, virtual_dataset],
)
@pytest.mark.parametrize("variable", [None, "IQ", "door/IQ"])
def test_hdf5_leads_to_no_other_file(
    tmp_path: Path, secret: Path, build: Callable[[h5py.File, Path], None], variable: str | None
) -> None:
    path = tmp_path / "data" / "a.h5"
    with h5py.File(path, "w") as file:
        build(file, secret)
        assert file["IQ"].shape == IQ.shape  # h5py itself would follow it
    with pytest.raises(InputError, match=r"a\.h5"):
        read(path, variable=variable)


def test_hdf5_coordinates_of_another_file_are_not_used(tmp_path: Path, secret: Path) -> None:
    path = tmp_path / "data" / "a.h5"
    with h5py.File(path, "w") as file:
        file["stack"] = IQ
        for letter in "zyx":
            file[letter] = h5py.ExternalLink(str(secret / "secret.h5"), "/z")
    assert describe(path).voxel_um is None


def test_soft_links_in_the_file_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["run/stack"] = IQ
        file["axes/depth"] = np.arange(5) * 0.1
        file["axes/depth"].attrs["units"] = "mm"
        file["run/z"] = h5py.SoftLink("/axes/depth")
        file["run/y"] = h5py.SoftLink("y")  # to itself
    assert "spacing along z (100 um) is from the file's coordinates" in " ".join(
        describe(path).notes
    )


@pytest.mark.parametrize("absolute", [False, True])
def test_metaimage_names_no_file_elsewhere(tmp_path: Path, secret: Path, absolute: bool) -> None:
    path = tmp_path / "data" / "a.mhd"
    outside = secret / "secret.raw" if absolute else "../private/secret.raw"
    path.write_text(
        f"NDims = 4\nDimSize = 2 3 5 4\nElementType = MET_UCHAR\nElementDataFile = {outside}\n"
    )
    with pytest.raises(InputError, match="outside its folder"):
        read(path)


def test_ome_tiff_names_no_file_elsewhere(tmp_path: Path, secret: Path) -> None:
    path = tmp_path / "data" / "a.ome.tif"
    tifffile.imwrite(secret / "secret.tif", GREY[0, :, 0])
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="2" SizeY="5" SizeZ="1" '
        'SizeC="1" SizeT="2"><TiffData IFD="0" FirstT="0" PlaneCount="1"/>'
        '<TiffData IFD="0" FirstT="1" PlaneCount="1">'
        '<UUID FileName="../private/secret.tif">urn:uuid:1</UUID></TiffData></Pixels></Image></OME>'
    )
    tifffile.imwrite(path, GREY[0, :, 0], description=xml, metadata=None)
    with pytest.raises(InputError, match="outside its folder"):
        read(path)


def test_zarr_leads_out_by_no_link_and_waits_at_no_pipe(tmp_path: Path, secret: Path) -> None:
    write_samples(tmp_path / "samples")
    store = tmp_path / "samples" / "Zarr" / "0" / "v2.zarr"
    read(store)
    chunk = next(p for p in store.iterdir() if not p.name.startswith("."))
    chunk.unlink()
    chunk.symlink_to(secret / "secret.raw")
    with pytest.raises(InputError, match="leads out"):
        read(store)
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(InputError, match="not a regular file"):
        read(store)


def test_a_pipe_is_no_acquisition(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.npy")
    with pytest.raises(InputError):
        read(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["../../private/secret", "/etc/passwd", "..", "blocks/../x"])
def test_a_map_is_named_within_its_results(tmp_path: Path, secret: Path, name: str) -> None:
    results = ResultsFolder(tmp_path / "data")
    results.make_subfolders()
    (secret / "secret.ome.tif").write_bytes(b"II*\0")
    with pytest.raises(UlmError, match="has no map"):
        results.map(name)

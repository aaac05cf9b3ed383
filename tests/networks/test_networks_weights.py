"""Weight files: nothing is lost, nothing is unpickled, and wrong files are reported."""

from __future__ import annotations

import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_ulm3d.errors import ConfigError, InputError, UlmError
from napari_ulm3d.networks import (
    PRESETS,
    build,
    load_network,
    preset,
    read_card,
    save_weights,
    shipped_weights,
    weights_hash,
)
from napari_ulm3d.sparse import SparseTensor

FACTS = {
    "name": "small",
    "data": {"preset": "mouse-brain-15MHz", "seeds": [1, 2]},
    "seed": 4,
    "steps": 300,
    "hours": 0.5,
    "device": "2 cores",
    "scores": {"dice": 0.4},
    "notes": ("Trained for less than it needs.",),
}


@pytest.fixture
def network():
    torch.manual_seed(3)
    return preset("sparse-2d-small")


@pytest.fixture
def saved(tmp_path, network):
    path = tmp_path / "small.safetensors"
    save_weights(path, network, **FACTS)
    return path


def test_a_round_trip_keeps_every_bit(saved, network):
    loaded, card = load_network(saved)
    assert not loaded.training
    assert loaded.config == network.config
    ours, theirs = network.state_dict(), loaded.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert {name: getattr(card, name) for name in FACTS} == FACTS
    x = SparseTensor.create(torch.tensor([[0, 3, 2, 2]]), torch.ones(1, 2), (8, 4, 4))
    a, b = network.eval()(x).output, loaded(x).output
    assert torch.equal(a.features, b.features)


@pytest.mark.parametrize("name", [n for n in PRESETS if n.endswith("small") or n == "mask"])
def test_every_small_network_can_be_saved_and_loaded(tmp_path, name):
    save_weights(tmp_path / "w.safetensors", preset(name))
    _, card = load_network(tmp_path / "w.safetensors")
    assert card.architecture == PRESETS[name].architecture


def test_the_card_is_read_without_the_weights(saved):
    card = read_card(saved)
    assert card == load_network(saved)[1]
    assert card.architecture == "SparseDeepSTULM"
    assert card.notes == FACTS["notes"]


def test_any_safetensors_reader_can_open_it(saved, network):
    tensors = load_file(saved)
    assert tensors.keys() == network.state_dict().keys()


def test_loading_leaves_the_random_numbers_alone(saved):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_network(saved)
    assert torch.equal(torch.rand(3), expected)


def test_the_same_weights_give_the_same_file(saved, network, tmp_path):
    save_weights(tmp_path / "again.safetensors", network, **FACTS)
    assert weights_hash(tmp_path / "again.safetensors") == weights_hash(saved)
    with torch.no_grad():
        next(network.parameters()).add_(1e-3)
    save_weights(tmp_path / "again.safetensors", network, **FACTS)
    assert weights_hash(tmp_path / "again.safetensors") != weights_hash(saved)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


class Loud:
    """Reports when it is unpickled."""

    opened = False

    def __reduce__(self):
        return (setattr, (Loud, "opened", True))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_is_refused_and_not_opened(tmp_path, protocol):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(pickle.dumps(Loud(), protocol=protocol))
    with pytest.raises(UlmError, match="pickle file, which can run any program"):
        load_network(path)
    assert not Loud.opened


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_of_torch_save_is_refused(tmp_path, network, zipped):
    path = tmp_path / "weights.pt"
    torch.save(network.state_dict(), path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"weights\.pt: is a PyTorch or pickle file"):
        read_card(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", struct.pack("<Q", 20) + b'{"a": 1}', b"\x89HDF\r\n\x1a\n" + bytes(99)],
)
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a complete safetensors file"):
        load_network(path)


def test_a_file_cut_short_is_refused(saved):
    saved.write_bytes(saved.read_bytes()[:-5])
    with pytest.raises(InputError, match="is not a complete safetensors file"):
        load_network(saved)


def test_an_absent_file_or_a_folder_is_named(tmp_path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(InputError, match="is not a file"):
            load_network(path)
        with pytest.raises(InputError, match="cannot be read"):
            weights_hash(path)


def test_weights_of_another_program_are_refused(tmp_path, network):
    path = tmp_path / "other.safetensors"
    save_file(network.state_dict(), path)
    with pytest.raises(InputError, match="of another program"):
        load_network(path)


def rewritten(path, change_tensors=None, change_card=None):
    card = json.loads(read_card(path).model_dump_json())
    tensors = load_file(path)
    if change_tensors:
        change_tensors(tensors)
    if change_card:
        change_card(card)
    save_file(tensors, path, {"napari_ulm3d_card": json.dumps(card)})
    return path


NAME = "transition1.0.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(NAME), f"lacks the weight {NAME}"),
        (lambda t: t.update(more=torch.ones(1)), "has, and its network has not, the weight more"),
        (lambda t: t.update({NAME: t[NAME][:2].clone()}), f"has the weight {NAME} as"),
        (lambda t: t.update({NAME: t[NAME].double()}), "of torch.float64"),
        (lambda t: t[NAME].fill_(torch.nan), "NaN or infinite"),
    ],
)
def test_weights_that_do_not_fit_are_named(saved, change, message):
    with pytest.raises(InputError, match=message):
        load_network(rewritten(saved, change_tensors=change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(architecture="Unet"), "cannot build .*'Unet'"),
        (lambda c: c["config"].update(colour=1), "cannot build .*colour"),
        (lambda c: c.update(seed="late"), "card that cannot be read .seed"),
        (lambda c: c["config"].update(channels=16), "has the weight"),
    ],
)
def test_cards_that_do_not_fit_are_named(saved, change, message):
    with pytest.raises(InputError, match=message):
        load_network(rewritten(saved, change_card=change))


def test_networks_that_cannot_be_saved_are_named(tmp_path, network):
    with pytest.raises(ConfigError, match="is not a registered network"):
        save_weights(tmp_path / "w.safetensors", torch.nn.Linear(2, 2))
    with pytest.raises(ConfigError, match=r"card of the weights is invalid: scores\.dice"):
        save_weights(tmp_path / "w.safetensors", network, scores={"dice": float("nan")})
    with pytest.raises(ConfigError, match="card of the weights is invalid: colour"):
        save_weights(tmp_path / "w.safetensors", network, colour="blue")
    with torch.no_grad():
        network.transition1[0].weight.fill_(torch.inf)
    with pytest.raises(ConfigError, match=r"transition1\.0\.weight is not finite"):
        save_weights(tmp_path / "w.safetensors", network)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UlmError, match="cannot be written"):
        save_weights(tmp_path / "file" / "w.safetensors", build("MaskCNN"))


def test_shipped_weights_are_whole_and_small():
    for name, path in shipped_weights().items():
        assert path.stat().st_size <= 20e6, name
        load_network(path)

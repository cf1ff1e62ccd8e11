import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from cmr_hub.encoders.images.weights import check_state, read_weights
from cmr_hub.errors import WeightsError


@pytest.fixture
def network():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


@pytest.fixture
def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.fixture
def blueprint():
    with torch.device("meta"):
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_round_trip(tmp_path, blueprint, state):
    save_file(state, tmp_path / "w")
    checked = check_state(blueprint, read_weights(tmp_path / "w"), "net")
    assert checked.keys() == state.keys()
    assert all(torch.equal(checked[name], state[name]) for name in state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(tmp_path, blueprint, state, dtype):
    stored = {name: v.to(dtype) if v.is_floating_point() else v for name, v in state.items()}
    save_file(stored, tmp_path / "w")
    checked = check_state(blueprint, read_weights(tmp_path / "w"), "net")
    for name, value in checked.items():
        if not name.endswith("num_batches_tracked"):
            assert value.dtype == torch.float32
            assert torch.equal(value, stored[name].float())


def test_step_counters_may_be_missing(blueprint, state):
    del state["1.num_batches_tracked"]
    assert check_state(blueprint, state, "net")["1.num_batches_tracked"] == 0


@pytest.mark.parametrize("kept", [0, 4, 7, 100, -1])
def test_truncated_file(tmp_path, state, kept):
    path = tmp_path / "w"
    save_file(state, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"w is not a valid safetensors file"):
        read_weights(path)


@pytest.mark.parametrize(
    "content", [b"x" * 100, b"\xff" * 100, (10**6).to_bytes(8, "little") + b"{}"]
)
def test_file_of_another_kind(tmp_path, content):
    path = tmp_path / "w"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="not a valid safetensors file"):
        read_weights(path)


def test_pickles_are_not_read(tmp_path, state):
    path = tmp_path / "w.pth"
    torch.save(state, path)
    with pytest.raises(WeightsError, match="Other formats are not read"):
        read_weights(path)


def test_no_file(tmp_path):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(WeightsError, match="no weights file"):
            read_weights(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("0.weight"), r"1 missing tensors \['0.weight'\], 0 unknown"),
        (lambda s: s.pop("1.running_var"), r"1 missing tensors \['1.running_var'\]"),
        (
            lambda s: s.update(more=torch.zeros(1)),
            r"0 missing tensors \[\], 1 unknown ones \['more'\]",
        ),
        (lambda s: s.clear(), "6 missing tensors"),
        (
            lambda s: s.update({"0.weight": torch.zeros(4, 4)}),
            r"0.weight has shape \(4, 4\), expected \(4, 3\)",
        ),
        (lambda s: s["0.bias"].fill_(np.nan), "0.bias has values that are not finite"),
        (
            lambda s: s["1.running_mean"].fill_(-np.inf),
            "1.running_mean has values that are not finite",
        ),
        (
            lambda s: s.update({"0.bias": torch.full((4,), 1e300, dtype=torch.float64)}),
            "0.bias has values that are not finite",
        ),
        (
            lambda s: s.update({"0.bias": torch.zeros(4, dtype=torch.int8)}),
            "0.bias has values that are not finite",
        ),
        (
            lambda s: s.update({"0.bias": torch.zeros(4, dtype=torch.complex64)}),
            "0.bias has values that are not finite",
        ),
    ],
)
def test_not_the_weights_of_this_network(blueprint, state, change, message):
    change(state)
    with pytest.raises(WeightsError, match=message):
        check_state(blueprint, state, "net")


def test_real_weights_are_whole(mobilenet_weights):
    read = read_weights(mobilenet_weights)
    assert read.keys() == load_file(mobilenet_weights).keys()
    assert read["features.0.0.weight"].shape == (32, 3, 3, 3)

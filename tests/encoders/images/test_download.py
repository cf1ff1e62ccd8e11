from http.client import IncompleteRead
from pickle import UnpicklingError
from urllib.error import HTTPError, URLError

import pytest

from cmr_hub.encoders.images import image_encoder, image_encoder_class
from cmr_hub.encoders.images.mobilenet_v2 import MobileNet_V2_Weights
from cmr_hub.errors import WeightsError


@pytest.mark.parametrize(
    "error",
    [
        URLError("no route to host"),
        HTTPError("https://x", 404, "Not Found", None, None),  # type: ignore[arg-type]
        TimeoutError("timed out"),
        IncompleteRead(b"half"),
        RuntimeError("invalid hash value"),
        UnpicklingError("not a pickle"),
        EOFError("Ran out of input"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_network_or_a_damaged_download(monkeypatch, error):
    def fail(self, *arguments, **options):
        raise error

    monkeypatch.setattr(MobileNet_V2_Weights, "get_state_dict", fail)
    with pytest.raises(WeightsError, match=r"could not download .*--image-weights FILE"):
        image_encoder("mobilenet_v2")


def test_download_is_checked_and_runs_no_code(monkeypatch, mobilenet_state):
    asked = {}

    def fetch(self, **options):
        asked.update(options, weights=self)
        return mobilenet_state

    monkeypatch.setattr(MobileNet_V2_Weights, "get_state_dict", fetch)
    encoder = image_encoder("mobilenet_v2")
    assert encoder.source == "torchvision:MobileNet_V2_Weights.IMAGENET1K_V1"
    assert asked["weights"] is MobileNet_V2_Weights.IMAGENET1K_V1
    assert asked["check_hash"] is True
    assert asked["weights_only"] is True


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"PK\x03\x04" + bytes(100)])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damaged_file_in_the_cache_of_torch(tmp_path, monkeypatch, content):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / MobileNet_V2_Weights.IMAGENET1K_V1.url.rpartition("/")[2]).write_bytes(content)
    with pytest.raises(WeightsError, match="could not download"):
        image_encoder("mobilenet_v2")


def test_vgg16_asks_for_its_own(monkeypatch):
    asked = []

    def fetch(self, **options):
        asked.append(self)
        return {}

    vgg16 = image_encoder_class("vgg16")
    monkeypatch.setattr(MobileNet_V2_Weights.__mro__[1], "get_state_dict", fetch)
    assert vgg16.download() == ({}, "torchvision:VGG16_Weights.IMAGENET1K_V1")
    assert [weights.name for weights in asked] == ["IMAGENET1K_V1"]

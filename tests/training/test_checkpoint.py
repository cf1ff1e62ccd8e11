import pytest
import torch
from safetensors.torch import load_file, save_file

from cmr_hub.errors import TrainingError
from cmr_hub.training.checkpoint import Progress, _digest, read_checkpoint, write_checkpoint

TENSORS = {"networks/a": torch.arange(6.0).reshape(2, 3), "optimizer/0/step": torch.tensor(4.0)}
PROGRESS = Progress(3, [{"epoch": 1, "loss": 0.1 + 0.2}], best_epoch=2, best_score=1 / 3)


@pytest.fixture
def path(tmp_path):
    target = tmp_path / "deep" / "select.safetensors"
    write_checkpoint(target, "key", PROGRESS, TENSORS)
    return target


@pytest.mark.parametrize("progress", [PROGRESS, Progress(), Progress(9, finished=True)])
def test_round_trip(tmp_path, progress):
    write_checkpoint(tmp_path / "c", "key", progress, TENSORS)
    found, tensors = read_checkpoint(tmp_path / "c", "key")
    assert found == progress
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_none_yet(tmp_path):
    assert read_checkpoint(tmp_path / "absent", "key") is None


def test_of_another_run(path):
    with pytest.raises(TrainingError, match="another preset, seed, data or encoder"):
        read_checkpoint(path, "other key")


@pytest.mark.parametrize("kept", [0, 7, 50, -1])
def test_truncated(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(TrainingError, match=r"is damaged .*; remove it to start again"):
        read_checkpoint(path, "key")


def test_no_byte_can_change_unnoticed(path):
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        try:
            progress, tensors = read_checkpoint(path, "key")
        except TrainingError:
            continue
        # White space of the header, or the order of its keys.
        assert progress == PROGRESS
        assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_safetensors_of_another_kind(path):
    tensors = load_file(path)
    for metadata in (None, {"progress": "{}"}, {"progress": "[]", "sha256": "x"}):
        save_file(tensors, path, metadata=metadata)
        with pytest.raises(TrainingError, match="is damaged"):
            read_checkpoint(path, "key")


def test_facts_that_are_no_facts(tmp_path):
    """Whoever writes a file can write its checksum too."""
    for text in ("3", "[" * 100_000, '{"key": "key"}'):
        metadata = {"progress": text, "sha256": _digest(text, TENSORS)}
        save_file(TENSORS, tmp_path / "c", metadata=metadata)
        with pytest.raises(TrainingError, match="is damaged"):
            read_checkpoint(tmp_path / "c", "key")

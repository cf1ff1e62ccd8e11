"""The command line, run in this process as its console script runs it."""

import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

import cmr_hub
from cmr_hub import cli
from cmr_hub.experiments.results import read_runs
from cmr_hub.training import trainer


class Cmr:
    """`cmr ARGUMENTS`: keeps what it printed, gives its exit code."""

    def __init__(self, capsys, monkeypatch):
        self.capsys, self.monkeypatch = capsys, monkeypatch
        self.out = self.err = ""

    def __call__(self, *arguments):
        self.monkeypatch.setattr(sys, "argv", ["cmr", *map(str, arguments)])
        self.capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        self.out, self.err = self.capsys.readouterr()
        return code

    def fails(self, *arguments):
        """The one line that it says when something is wrong."""
        assert self(*arguments) == 2
        assert "Traceback" not in self.err
        (line,) = [line for line in self.err.splitlines() if line.startswith("error: ")]
        return line


@pytest.fixture
def cmr(capsys, monkeypatch):
    return Cmr(capsys, monkeypatch)


@pytest.fixture(scope="session")
def trained(colour_folder, mobilenet_file, tmp_path_factory):
    """A folder with what `cmr train` left: `model`, `runs.jsonl` and nothing else."""
    home = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            sys, "argv", ["cmr", *map(str, train_command(colour_folder, mobilenet_file, home))]
        )
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert end.value.code == 0
    return home


def train_command(folder, weights, home):
    return [
        *("train", "folder", "--root", folder, "--image-weights", weights),
        *("--epochs", 3, "--seed", 1, "--text-option", "min_df=2"),
        *("--out", home / "model", "--results", home / "runs.jsonl"),
    ]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_train_saves_a_model_and_a_record(trained, colour_folder):
    assert names(trained) == ["model", "runs.jsonl"]
    (record,), problems = read_runs(trained / "runs.jsonl")
    assert problems == []
    assert record.seed == 1
    assert record.preset == "acmr-paper"
    assert record.settings["epochs"] == 3
    assert record.text_options["min_df"] == 2
    model = cmr_hub.load(trained / "model")
    assert model.training == record.to_dict()
    assert model.classes == ("flame", "grass", "sea")
    assert len(model.gallery) == 12
    hit = model.search("flame", k=1)[0]
    assert hit.path.parent == colour_folder / "test"


def test_train_tells_what_it_did(cmr, colour_folder, mobilenet_file, tmp_path):
    assert cmr(*train_command(colour_folder, mobilenet_file, tmp_path), "--gallery", "none") == 0
    assert "MAP@all" in cmr.out
    assert f"Saved {tmp_path / 'model'}; added a line to {tmp_path / 'runs.jsonl'}." in cmr.out
    assert "Now try" not in cmr.out
    assert cmr_hub.load(tmp_path / "model").gallery is None

    # Again, over the older model, with other settings.
    options = ("--gallery", "all", "--seed", 2)
    assert cmr(*train_command(colour_folder, mobilenet_file, tmp_path), *options) == 0
    assert f'Now try: cmr search {tmp_path / "model"} "' in cmr.out
    assert len(cmr_hub.load(tmp_path / "model").gallery) == 36
    assert [run.seed for run in read_runs(tmp_path / "runs.jsonl")[0]] == [1, 2]


def test_stopped_training_goes_on(
    cmr, colour_folder, mobilenet_file, trained, tmp_path, monkeypatch
):
    command = train_command(colour_folder, mobilenet_file, tmp_path)
    monkeypatch.setattr(trainer, "_CHECKPOINT_SECONDS", 0.0)
    write = trainer.write_checkpoint

    def write_and_stop(*arguments):
        write(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "write_checkpoint", write_and_stop)
        assert cmr(*command) == 130
    assert cmr.err.endswith("stopped; finished work is kept\n")
    assert names(tmp_path) == ["model.checkpoints"]
    (tmp_path / "model.checkpoints" / ".select.safetensors.0.tmp").write_text("of a kill")

    assert "checkpoint" in cmr.fails(*command, "--seed", 7)
    assert cmr(*command) == 0
    assert names(tmp_path) == ["model", "runs.jsonl"]
    first, second = cmr_hub.load(trained / "model"), cmr_hub.load(tmp_path / "model")
    assert first.fingerprint == second.fingerprint


def test_train_on_features(cmr, data_home, tmp_path):
    out = tmp_path / "model"
    assert (
        cmr(
            *("train", "wikipedia-features", "--root", data_home / "wikipedia"),
            *("--epochs", 1, "--out", out, "--results", tmp_path / "runs.jsonl"),
        )
        == 0
    )
    assert cmr("evaluate", out, "--root", data_home / "wikipedia", "--json") == 0
    (record,), _ = read_runs(tmp_path / "runs.jsonl")
    assert json.loads(cmr.out)["map_avg"] == record.map_avg > 0.13
    assert "no gallery" in cmr.fails("search", out, "a poem")


def test_evaluate(cmr, trained, colour_folder):
    (record,), _ = read_runs(trained / "runs.jsonl")
    assert cmr("evaluate", trained / "model", "--root", colour_folder, "--json") == 0
    figures = json.loads(cmr.out)
    for key in (
        "map_i2t",
        "map_t2i",
        "map50_avg",
        "image_accuracy",
        "text_accuracy",
        "precision_i2t",
    ):
        assert figures[key] == getattr(record, key), key
    for key in ("dataset", "protocol", "image_encoder", "text_encoder", "preset", "seed", "epochs"):
        assert figures[key] == getattr(record, key), key

    assert cmr("evaluate", trained / "model", "--root", colour_folder) == 0
    assert "folder, protocol folders, test split" in cmr.out
    assert f"{record.map_i2t:.3f}" in cmr.out


def test_evaluate_on_another_dataset(cmr, trained, colour_folder, tmp_path):
    folder = shutil.copytree(colour_folder, tmp_path / "other")
    for split in ("train", "test"):
        metadata = folder / split / "metadata.jsonl"
        rows = [json.loads(line) for line in metadata.read_text().splitlines()]
        metadata.write_text("\n".join(json.dumps(row | {"label": None}) for row in rows))
    command = ["evaluate", trained / "model", "--dataset", "folder", "--root", folder]
    store = tmp_path / "runs.jsonl"
    assert cmr(*command, "--split", "train", "--results", store) == 0, cmr.err
    assert "single captions" in cmr.out
    assert "folder, protocol folders, train split" in cmr.out
    assert cmr(*command, "--json") == 0
    record = json.loads(cmr.out)
    assert record["n_queries_i2t"] == 12
    assert record["n_queries_t2i"] == 24
    assert record["trained_on"] == {"dataset": "folder", "protocol": "folders"}
    (stored,), problems = read_runs(store)
    assert problems == []
    assert stored.n_queries_t2i == 48
    assert "unknown split" in cmr.fails(*command, "--split", "validation")
    assert "needs --dataset" in cmr.fails("evaluate", trained / "model", "--results", store)


def test_train_with_fine_tuning(cmr, trained, colour_folder, mobilenet_file, tmp_path):
    command = train_command(colour_folder, mobilenet_file, tmp_path)
    assert "can be fine-tuned in its last 1 to 18 blocks" in cmr.fails(*command, "--fine-tune", 19)
    assert cmr(*command, "--epochs", 1, "--fine-tune", 1) == 0, cmr.err
    (record,), _ = read_runs(tmp_path / "runs.jsonl")
    assert record.fine_tuned["blocks"] == 1
    tuned, frozen = cmr_hub.load(tmp_path / "model"), cmr_hub.load(trained / "model")
    assert tuned.image.encoder.weights_sha256 != frozen.image.encoder.weights_sha256
    assert len(tuned.gallery) == 12
    assert tuned.search("flame", k=1)


def test_train_with_fine_tuning_of_texts(
    cmr, build_sentence_model, colour_folder, mobilenet_file, tmp_path
):
    command = [*train_command(colour_folder, mobilenet_file, tmp_path), "--fine-tune-text", 1]
    assert "bow has no layers to fine-tune; use 'sentence'" in cmr.fails(*command)
    source = build_sentence_model(tmp_path / "tiny")
    at = command.index("--text-option")
    command[at : at + 2] = ["--text-encoder", "sentence", "--text-option", f"source={source}"]
    assert cmr(*command, "--epochs", 1) == 0, cmr.err
    (record,), _ = read_runs(tmp_path / "runs.jsonl")
    assert record.text_fine_tuned["layers"] == 1
    assert record.fine_tuned is None
    model = cmr_hub.load(tmp_path / "model")
    assert model.text.encoder.state()[1]
    assert model.search("flame", k=1)


def test_search(cmr, trained, colour_folder, tmp_path):
    directory = trained / "model"
    model = cmr_hub.load(directory)
    picture = colour_folder / "test" / "sea1.png"
    for arguments, query in (
        (["flame"], {"text": "flame"}),
        (["flame", "--target", "text", "-k", "3"], {"text": "flame", "target": "text", "k": 3}),
        (["--image", picture], {"image": picture}),
        (["--image", picture, "--target", "image"], {"image": picture, "target": "image"}),
    ):
        assert cmr("search", directory, *arguments, "--json") == 0
        hits = json.loads(cmr.out)
        expected = model.search(**query)
        assert [hit["id"] for hit in hits] == [hit.id for hit in expected]
        assert [hit["score"] for hit in hits] == [hit.score for hit in expected]
        assert hits[0]["path"] == str(expected[0].path)
        assert hits[0]["sentences"] == list(expected[0].sentences)
        page = ["--html", tmp_path / "hits.html"]
        assert cmr("search", directory, *arguments, "--json", *page) == 0
        assert json.loads(cmr.out) == hits
    assert cmr("search", directory, "flame", "-k", 2) == 0
    first, second = model.search("flame", k=2)
    for hit in (first, second):
        assert f"{hit.score:.3f}" in cmr.out
        assert hit.label in cmr.out


def test_sentences_are_shown_as_they_are(cmr, colour_folder, mobilenet_file, tmp_path):
    folder = shutil.copytree(colour_folder, tmp_path / "odd [folder]")
    metadata = folder / "test" / "metadata.jsonl"
    metadata.write_text(metadata.read_text().replace("a picture of", "[/b] [red] :cat:"))
    assert cmr(*train_command(folder, mobilenet_file, tmp_path)) == 0
    assert cmr("search", tmp_path / "model", "flame", "-k", 1) == 0
    assert "[/b]" in cmr.out
    assert "[red]" in cmr.out
    assert ":cat:" in cmr.out


def test_data(cmr, colour_folder, monkeypatch, tmp_path):
    monkeypatch.setenv("CMR_DATA_HOME", str(tmp_path))
    assert cmr("data") == 0
    for name in ("pascal-sentence", "wikipedia", "flickr8k", "folder"):
        assert f" {name} " in cmr.out
    assert cmr("data", "folder", "--root", colour_folder) == 0
    assert "folder, protocol folders: 36 items" in cmr.out
    assert "No problems were found." in cmr.out
    (row,) = [line for line in cmr.out.splitlines() if " test " in line]
    assert "12" in row
    assert "3" in row


def test_data_reports_what_is_wrong(cmr, colour_folder, tmp_path):
    folder = shutil.copytree(colour_folder, tmp_path / "f")
    (folder / "test" / "sea0.png").write_bytes(b"no picture")
    assert cmr("data", "folder", "--root", folder) == 0
    assert "35 items" in cmr.out
    assert "broken image: 1" in cmr.out


def test_errors_are_one_line(cmr, trained, colour_folder, mobilenet_file, tmp_path, monkeypatch):
    monkeypatch.delenv("CMR_DATA_HOME", raising=False)
    model, out = trained / "model", tmp_path / "model"
    train = ["train", "folder", "--root", colour_folder, "--out", out]
    weights = ["--image-weights", mobilenet_file]

    assert "unknown dataset 'nope'; choose one of: pascal-sentence" in cmr.fails("data", "nope")
    assert "unknown dataset 'nope'" in cmr.fails("train", "nope", "--out", out)
    assert "CMR_DATA_HOME is not set" in cmr.fails("data", "pascal-sentence")
    assert "does not exist" in cmr.fails("data", "folder", "--root", tmp_path / "absent")
    assert "no weights file at" in cmr.fails(*train, "--image-weights", tmp_path / "absent")
    assert "unknown preset or baseline 'x'" in cmr.fails(*train, *weights, "--preset", "x")
    assert "unknown image encoder 'x'" in cmr.fails(*train, *weights, "--image-encoder", "x")
    assert "unknown text encoder 'x'" in cmr.fails(*train, *weights, "--text-encoder", "x")
    assert "unknown protocol" in cmr.fails(*train, *weights, "--protocol", "x")
    for option, message in (
        ("min_df", "needs name=value, not 'min_df'"),
        ("=2", "needs name=value"),
        ("min_df=0", "greater than or equal to 1"),
        ("nope=1", "no option 'nope'; the options are"),
        ("name=bow", "no option 'name'"),
        ("self=1", "option 'self'"),
    ):
        assert message in cmr.fails(*train, *weights, "--text-option", option)
    assert names(tmp_path) == []

    assert "no model directory" in cmr.fails("evaluate", tmp_path / "absent")
    assert "no gallery" in cmr.fails("search", tmp_path / "absent", "a")
    assert "give a sentence, or a picture" in cmr.fails("search", model)
    assert "type a sentence" in cmr.fails("search", model, "")
    assert "use other words" in cmr.fails("search", model, "zyx")
    assert "absent.png" in cmr.fails("search", model, "--image", tmp_path / "absent.png")
    assert "codec can't encode" in cmr.fails("gallery", "remove", model / "gallery", "\udcff")


def test_wrong_use_is_refused_by_the_parser(cmr, trained):
    for arguments in (
        ["search", trained / "model", "flame", "-k", "0"],
        ["search", trained / "model", "flame", "--target", "sound"],
        ["search"],
        ["train", "folder"],
        ["train", "folder", "--out", "x", "--epochs", "0"],
        ["nope"],
    ):
        assert cmr(*arguments) == 2
        assert "Usage: " in cmr.err


def test_folder_of_someone_else_is_refused_at_once(cmr, colour_folder, mobilenet_file, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("years")
    command = train_command(colour_folder, mobilenet_file, tmp_path)
    assert "files that are not part of a model (thesis.txt)" in cmr.fails(*command)
    assert names(tmp_path) == ["model"]
    assert names(tmp_path / "model") == ["thesis.txt"]


def test_results_that_cannot_be_written(cmr, colour_folder, mobilenet_file, tmp_path):
    (tmp_path / "file").write_text("in the way")
    command = train_command(colour_folder, mobilenet_file, tmp_path)
    line = cmr.fails(*command, "--results", tmp_path / "file" / "runs.jsonl")
    assert str(tmp_path / "file") in line
    # Nothing of the training is lost.
    assert cmr_hub.load(tmp_path / "model").gallery is not None


def test_into_the_current_directory(cmr, colour_folder, mobilenet_file, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    command = train_command(colour_folder, mobilenet_file, tmp_path)
    assert cmr(*command, "--out", ".") == 0
    assert "config.json" in names(tmp_path / "here")


def test_model_that_does_not_say_its_dataset(cmr, saved_model, tmp_path):
    directory = shutil.copytree(saved_model, tmp_path / "m")
    config = json.loads((directory / "config.json").read_text())
    config["training"] = {}
    (directory / "config.json").write_text(json.dumps(config))
    assert "does not record its training dataset" in cmr.fails("evaluate", directory)


def test_real_photographs(cmr, data_home, mobilenet_weights, tmp_path):
    """Four classes of twenty: half of them train, half test."""
    source, root = data_home / "pascal-sentence", tmp_path / "pascal-sentence"
    for name in ("aeroplane", "cat", "motorbike", "sheep"):
        for kind in ("dataset", "sentence"):
            (root / kind / name).mkdir(parents=True)
            for path in sorted((source / kind / name).iterdir())[:20]:
                (root / kind / name / path.name).symlink_to(path)
    out = tmp_path / "model"
    code = cmr(
        *("train", "pascal-sentence", "--root", root, "--image-weights", mobilenet_weights),
        *("--out", out, "--results", tmp_path / "runs.jsonl"),
    )
    assert code == 0, cmr.err
    (record,), _ = read_runs(tmp_path / "runs.jsonl")
    assert record.pairs["test"] == 40
    # Chance is about a quarter.
    assert record.map_avg > 0.7
    assert record.image_accuracy > 0.85
    assert cmr("search", out, "two men on a motorbike", "-k", 5, "--json") == 0
    hits = json.loads(cmr.out)
    assert [hit["label"] for hit in hits] == ["motorbike"] * 5
    assert cmr("search", out, "--image", hits[0]["path"], "-k", 5, "--json") == 0
    assert [hit["label"] for hit in json.loads(cmr.out)].count("motorbike") >= 4
    rotated = Image.fromarray(np.asarray(Image.open(hits[0]["path"]))[:, ::-1])
    rotated.save(tmp_path / "mirrored.png")
    assert cmr("search", out, "--image", tmp_path / "mirrored.png", "-k", 1) == 0
    assert "motorbike" in cmr.out

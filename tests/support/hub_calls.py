"""What the tests let the client do, in a process whose HF_ENDPOINT is the test's server."""

import contextlib
import io
import logging
import os
import re
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np

SENTENCES = ["a picture of flame", "grass", "sea, sea; flame!"]


FASTER = 50
"""How many times sooner the Hub is asked again than in use."""


def ready() -> str:
    """Where this process's client asks. From now on it does not wait long before it asks again."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    from cmr_hub import hub_errors

    _http.time = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / FASTER), time=time.time)
    hub_errors.WAITS = tuple(wait / FASTER for wait in hub_errors.WAITS)
    return constants.ENDPOINT


def vectors(name: str | Path, pictures: list[Path] = (), **options) -> dict:
    """What a model says of itself and of some sentences and pictures."""
    from cmr_hub import load

    model = load(name, **options)
    return {
        "fingerprint": model.fingerprint,
        "source": model.source,
        "texts": model.encode_texts(SENTENCES),
        "images": model.encode_images(list(pictures)),
        "gallery": None if model.gallery is None else len(model.gallery),
    }


def texts(name: str | Path, sentences: list[str], **options) -> np.ndarray:
    """The vectors of some sentences."""
    from cmr_hub import load

    return load(name, **options).encode_texts(sentences)


def saved(name: str, directory: Path, **options) -> None:
    """Loads a model and saves it."""
    from cmr_hub import load

    load(name, **options).save_pretrained(directory)


def with_short_name(function, short: str, repository: str, *args, **options):
    """`function(...)` where a short name stands for a repository."""
    from cmr_hub.models import catalogue

    entry = catalogue.list_models()[0].model_copy(
        update={"name": short, "repository": repository, "revision": None}
    )
    with mock.patch.object(catalogue, "_all", return_value={short: entry}):
        return function(*args, **options)


def read(directory: Path) -> str:
    """Reads a saved model without its gallery; gives its fingerprint."""
    from cmr_hub.models.cross_modal import CrossModalModel

    return CrossModalModel.from_pretrained(directory).fingerprint


def forget() -> None:
    """Empties the cache of this process's client."""
    from huggingface_hub import constants

    shutil.rmtree(constants.HF_HUB_CACHE, ignore_errors=True)


def pictures(name: str, **options) -> list[str]:
    """Where the gallery of a model says that its pictures are."""
    from cmr_hub import load

    return load(name, **options).gallery.items.column("path").to_pylist()


def push(directory: Path, name: str, **options) -> str:
    from cmr_hub import load

    return load(directory).push_to_hub(name, **options)


def validate(card: str) -> None:
    """The Hub's own check of a card."""
    from huggingface_hub import ModelCard

    ModelCard(card).validate()


def cmr(
    *arguments: object, answer: str = "", token: str = "", log_level: int = logging.DEBUG
) -> tuple[int, str, str]:
    """`cmr ARGUMENTS`: its exit code, what it printed, and its errors with the log of everyone."""
    from cmr_hub import cli

    out, err = io.StringIO(), io.StringIO()
    log = logging.StreamHandler(err)
    root = logging.getLogger()
    root.addHandler(log)
    level, code = root.level, 0
    root.setLevel(log_level)
    try:
        with (
            mock.patch.object(sys, "argv", ["cmr", *map(str, arguments)]),
            mock.patch.object(sys, "stdin", io.StringIO(answer)),
            mock.patch.dict(os.environ, {"HF_TOKEN": token} if token else {}),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            cli.main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        root.setLevel(level)
        root.removeHandler(log)
    return code, out.getvalue(), err.getvalue()


def refused(name: str | Path, **options) -> tuple[str, float, float]:
    """The message of the error, and the processor's seconds and the megabytes that it took.

    Not the clock's seconds: how busy the machine is does not matter here.
    """
    from cmr_hub import load
    from cmr_hub.errors import CMRError

    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")  # the highest memory use is now the present
    at_first, started = memory("VmRSS"), time.process_time()
    try:
        load(name, **options)
    except CMRError as error:
        return str(error), time.process_time() - started, memory("VmHWM") - at_first
    raise AssertionError(f"{name} was loaded")


def memory(field: str) -> float:
    """`VmHWM`, the highest memory use, or `VmRSS`, the present one, in MB; 0 where not told."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    (kilobytes,) = re.findall(rf"{field}:\s*(\d+) kB", status.read_text())
    return int(kilobytes) / 1000


def same(first: dict, second: dict) -> bool:
    """Equal to the bit."""
    return all(
        np.array_equal(first[key], second[key]) and first[key].dtype == second[key].dtype
        for key in ("texts", "images")
    ) and (first["fingerprint"] == second["fingerprint"])

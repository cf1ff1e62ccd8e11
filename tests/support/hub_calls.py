"""Client calls of the tests, run in a process whose HF_ENDPOINT is the test server."""

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
"""Factor by which the waiting times between retries are shortened."""


def ready() -> str:
    """Return the endpoint of this process's client, and shorten its waiting times from now on."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    from cmr_hub import hub_errors

    _http.time = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / FASTER), time=time.time)
    hub_errors.WAITS = tuple(wait / FASTER for wait in hub_errors.WAITS)
    return constants.ENDPOINT


def vectors(name: str | Path, pictures: list[Path] = (), **options) -> dict:
    """Return the properties of a model and its vectors of some sentences and pictures."""
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
    """Return the vectors of some sentences."""
    from cmr_hub import load

    return load(name, **options).encode_texts(sentences)


def saved(name: str, directory: Path, **options) -> None:
    """Load a model and save it."""
    from cmr_hub import load

    load(name, **options).save_pretrained(directory)


def with_short_name(function, short: str, repository: str, *args, **options):
    """Call `function(...)` while a short name stands for a repository."""
    from cmr_hub.models import catalogue

    entry = catalogue.list_models()[0].model_copy(
        update={"name": short, "repository": repository, "revision": None}
    )
    with mock.patch.object(catalogue, "_all", return_value={short: entry}):
        return function(*args, **options)


def read(directory: Path) -> str:
    """Load a saved model without its gallery and return its fingerprint."""
    from cmr_hub.models.cross_modal import CrossModalModel

    return CrossModalModel.from_pretrained(directory).fingerprint


def forget() -> None:
    """Clear the cache of this process's client."""
    from huggingface_hub import constants

    shutil.rmtree(constants.HF_HUB_CACHE, ignore_errors=True)


def pictures(name: str, **options) -> list[str]:
    """Return the paths of the pictures in the gallery of a model."""
    from cmr_hub import load

    return load(name, **options).gallery.items.column("path").to_pylist()


def push(directory: Path, name: str, **options) -> str:
    from cmr_hub import load

    return load(directory).push_to_hub(name, **options)


def validate(card: str) -> None:
    """Validate a card with the Hub's own check."""
    from huggingface_hub import ModelCard

    ModelCard(card).validate()


def cmr(
    *arguments: object, answer: str = "", token: str = "", log_level: int = logging.DEBUG
) -> tuple[int, str, str]:
    """Run `cmr ARGUMENTS`; return its exit code, its output, and its errors with all logs."""
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
    """Return the error message, the CPU seconds, and the memory in MB that the call used.

    CPU time is used instead of wall time because the machine may be busy.
    """
    from cmr_hub import load
    from cmr_hub.errors import CMRError

    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")  # reset the peak memory to the current value
    at_first, started = memory("VmRSS"), time.process_time()
    try:
        load(name, **options)
    except CMRError as error:
        return str(error), time.process_time() - started, memory("VmHWM") - at_first
    raise AssertionError(f"{name} was loaded")


def memory(field: str) -> float:
    """Return `VmHWM`, the peak memory, or `VmRSS`, the current memory, in MB; 0 if unknown."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0.0
    (kilobytes,) = re.findall(rf"{field}:\s*(\d+) kB", status.read_text())
    return int(kilobytes) / 1000


def same(first: dict, second: dict) -> bool:
    """Return whether two results are bit-identical."""
    return all(
        np.array_equal(first[key], second[key]) and first[key].dtype == second[key].dtype
        for key in ("texts", "images")
    ) and (first["fingerprint"] == second["fingerprint"])

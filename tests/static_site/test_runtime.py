"""onnxruntime-web from the npm registry, pinned by its hash."""

from __future__ import annotations

import pytest

from cmr_hub.errors import CMRError
from cmr_hub.static_site.runtime import keep_runtime, runtime


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CMR_CACHE_HOME", str(tmp_path / "cache"))


def test_nothing_is_fetched_unless_allowed() -> None:
    with pytest.raises(CMRError, match=r"use --allow-download to download it once \(https://"):
        runtime()


def test_without_a_network_it_says_what_was_tried(monkeypatch) -> None:
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9/")
    with pytest.raises(CMRError, match=r"cannot download http://127\.0\.0\.1:9/onnxruntime-web/-/"):
        runtime(allow_download=True)


def test_another_archive_is_refused(tmp_path) -> None:
    with pytest.raises(CMRError, match="another SHA-512"):
        keep_runtime(b"something else", tmp_path / "there")
    assert not (tmp_path / "there").exists()

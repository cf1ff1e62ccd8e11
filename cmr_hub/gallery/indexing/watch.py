"""Keep a gallery up to date while its folder changes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from cmr_hub.errors import CMRError

_QUIET = 2_000
"""Milliseconds without a change before the folder is read."""
_POLL = 500
_RETRY = 30.0


def keep_current(
    folder: Path,
    update: Callable[[], None],
    failed: Callable[[Exception], None],
    ignored: Path | None = None,
) -> None:
    """Call `update` now and after each burst of changes in a folder, until Ctrl-C.

    If `update` fails, for example because another process is writing to the gallery, or if the
    folder does not exist, `update` is called again every 30 seconds.

    Args:
        folder: the folder. Its subfolders are watched too, except hidden ones.
        update: function that reads the folder. It may raise CMRError or OSError.
        failed: function that is called with the error of a failed update, once per error message.
        ignored: optional folder whose changes are ignored, for example of the gallery.

    Raises:
        CMRError: the system cannot watch so many folders.
    """
    from watchfiles import watch

    last = ""

    def is_watched(_change: object, name: str) -> bool:
        path = Path(name)
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        return not is_hidden and (ignored is None or not path.is_relative_to(ignored))

    def has_updated() -> bool:
        nonlocal last
        try:
            update()
        except (CMRError, OSError) as error:
            if str(error) != last:
                failed(error)
            last = str(error)
            return False
        last = ""
        return True

    try:
        while True:
            if not folder.is_dir():
                has_updated()
                time.sleep(_RETRY)
                continue
            due = 0.0  # update after watching has started, so that no change is missed
            for changes in watch(
                folder,
                watch_filter=is_watched,
                debounce=10 * _QUIET,
                step=_QUIET,
                rust_timeout=_POLL,
                yield_on_timeout=True,
            ):
                if changes or time.monotonic() >= due:
                    due = math.inf if has_updated() else time.monotonic() + _RETRY
                if not folder.is_dir():
                    break
    except KeyboardInterrupt:
        return
    except OSError as error:
        raise CMRError(
            f"{folder} cannot be watched: {error}. Raise fs.inotify.max_user_watches, or set "
            "WATCHFILES_FORCE_POLLING=1"
        ) from error

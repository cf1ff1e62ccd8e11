"""Keeping a gallery current while its folder changes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

from cmr_hub.errors import CMRError

_QUIET = 2_000
"""Milliseconds without a change before a folder is read."""
_POLL = 500
_RETRY = 30.0


def keep_current(
    folder: Path,
    update: Callable[[], None],
    failed: Callable[[Exception], None],
    ignored: Path | None = None,
) -> None:
    """Call `update` now and after each burst of changes in a folder, until Ctrl-C.

    If it fails, as when another process is writing to the gallery, or if the folder does not exist,
    it is called again every half minute.

    Args:
        folder: the folder, with all folders in it except hidden ones.
        update: reads the folder; may raise CMRError or OSError.
        failed: called with the reason if an update fails, once for each reason.
        ignored: a folder whose changes do not count, such as the gallery's own; optional.

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
            due = 0.0  # once the folder is watched, so that no change is missed
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

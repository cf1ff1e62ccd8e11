"""Lock that allows one network to be built at a time.

While transformers and open_clip build a network, they replace functions of torch for the whole
process. Two concurrent builds would restore each other's replacements.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

BUILDING: Final = Lock()

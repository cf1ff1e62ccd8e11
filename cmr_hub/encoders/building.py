"""One network is built at a time.

While transformers and open_clip build a network, they replace functions of torch for the whole
process. Two that overlap would put back what they found of each other, and leave it so.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

BUILDING: Final = Lock()

"""Secondary objects by name."""

from __future__ import annotations

from cmr_hub_sketches.objects.kind import Kind
from cmr_hub_sketches.props import inside, outside

PROPS: dict[str, Kind] = {kind.name: kind for kind in (*outside.PROPS, *inside.PROPS)}

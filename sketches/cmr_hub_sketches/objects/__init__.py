"""The twenty classes by name, each in a separate file."""

from __future__ import annotations

from cmr_hub_sketches.objects import (
    aeroplane,
    bicycle,
    bird,
    boat,
    bottle,
    bus,
    car,
    cat,
    chair,
    cow,
    dining_table,
    dog,
    horse,
    motorbike,
    person,
    potted_plant,
    sheep,
    sofa,
    train,
    tv_monitor,
)
from cmr_hub_sketches.objects.kind import Kind

KINDS: dict[str, Kind] = {
    module.KIND.name: module.KIND
    for module in (
        *(aeroplane, bicycle, bird, boat, bottle, bus, car, cat, chair, cow),
        *(dining_table, dog, horse, motorbike, person, potted_plant, sheep, sofa),
        *(train, tv_monitor),
    )
}
CLASSES = tuple(KINDS)

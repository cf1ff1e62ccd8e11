"""Import the modules that the pages need, so that the first visitor does not wait for them.

No module here may import Streamlit, because its caches and components need a running server.
"""

from importlib import import_module

for name in (
    *("pandas", "scipy.stats"),
    *("cmr_hub.experiments.report", "cmr_hub.plots.results", "cmr_hub.plots.space"),
    *("cmr_hub.plots.training", "cmr_hub.projections.jobs"),
):
    import_module(name)

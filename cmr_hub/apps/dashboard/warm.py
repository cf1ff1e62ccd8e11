"""Imports what the pages draw with, so that the first visitor need not wait for it.

Nothing here uses Streamlit, whose caches and components need its server.
"""

import pandas  # type: ignore[import-untyped] # noqa: F401
import scipy.stats  # noqa: F401

import cmr_hub.evaluation.report
import cmr_hub.plots.results
import cmr_hub.plots.space
import cmr_hub.plots.training
import cmr_hub.projections.jobs  # noqa: F401

"""Imports what the pages draw with, so that the first visitor need not wait for it."""

import pandas  # type: ignore[import-untyped] # noqa: F401
import scipy.stats  # noqa: F401

import cmr_hub.apps.dashboard.maps
import cmr_hub.plots.results
import cmr_hub.plots.training  # noqa: F401

"""Run the dashboard; `cmr dashboard` passes this script to Streamlit."""

from __future__ import annotations

from cmr_hub.apps.dashboard.navigation import main

main()

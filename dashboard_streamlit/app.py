"""Run the dashboard: `streamlit run dashboard_streamlit/app.py [-- --results DIR --model DIR]`."""

from __future__ import annotations

from cmr_hub.apps.dashboard.navigation import main

main()

"""What `cmr dashboard` gives to Streamlit as its script."""

from __future__ import annotations

from cmr_hub.apps.dashboard.navigation import main

main()

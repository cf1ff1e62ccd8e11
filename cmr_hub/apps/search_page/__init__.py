"""Serve a page that searches pictures by sentences, and sentences and pictures by pictures."""

from cmr_hub.apps.search_page.page import Page, build_page
from cmr_hub.apps.search_page.serving import launch, serve

__all__ = ["Page", "build_page", "launch", "serve"]

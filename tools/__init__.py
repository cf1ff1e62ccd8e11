"""Maintenance tools of the repository, which are not part of the package."""

"""How the models that come with the package are made; see docs/default-release.md."""

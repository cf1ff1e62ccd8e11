"""How the models that come with the package are made; see docs/sketch-release.md."""

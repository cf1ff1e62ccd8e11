"""How the models that come with the package are made: `python -m scripts.default --help`."""

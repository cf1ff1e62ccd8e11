"""Publishing models: model cards, uploads to the Hub, and Spaces for search and results."""

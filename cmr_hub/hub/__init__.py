"""Publishing: the card of a model, its upload with a preview, and a Space that searches with it."""

"""L5: the Jupyter Server extension."""

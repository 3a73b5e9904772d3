"""L0: the vocabulary. Frozen values, the error tree, settings and the clock; standard library only."""

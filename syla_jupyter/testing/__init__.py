"""For tests only: one contract suite per port. Nothing of the product imports it."""

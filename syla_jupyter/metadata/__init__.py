"""L1: where workspace records are kept."""

"""L5: `syla`, the command line."""

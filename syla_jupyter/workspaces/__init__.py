"""L3: use cases around workspaces."""

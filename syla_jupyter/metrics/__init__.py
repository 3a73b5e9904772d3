"""What the server tells of its workspaces on `/metrics`."""

"""Who may do what: permissions, roles, the decision, the guard that enforces it, and the log of it."""

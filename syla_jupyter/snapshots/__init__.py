"""Versions of a workspace: what it holds, kept once, encrypted, in an object store, and brought back from there."""

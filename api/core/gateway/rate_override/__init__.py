"""Overrides: an organization or a key has another rate plan, until a time."""

"""Flags: what they decide, and the states they go through."""

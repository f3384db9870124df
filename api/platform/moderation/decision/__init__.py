"""Decisions: what was done about a thing and why."""

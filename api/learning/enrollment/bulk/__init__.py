"""Bulk: many people are enrolled in a run, or taken out of it, by its staff."""

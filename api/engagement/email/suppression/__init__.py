"""Suppressions: addresses that get no more letters, by keyed hash."""

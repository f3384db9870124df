"""Locks: moderators' decisions that keep a person from signing in."""

"""Frozen outlines: immutable states of working outlines, which revisions of courses name."""

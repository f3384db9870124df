"""Screening: whether a text may be stored."""

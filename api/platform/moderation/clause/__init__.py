"""Clauses: what is not allowed, in words that people can read and decisions cite."""

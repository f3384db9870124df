"""Grants: roles that people were given at a place, and the end of these."""

"""Roles: the built-in ones that services offer, and those that an organization made."""

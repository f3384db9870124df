"""Identities: the address and the password with which a person signs in."""

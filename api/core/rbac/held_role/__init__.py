"""Held roles: the grants of a person that count now, and the reasons of a permission."""

"""Mailed links: to verify an address, and to set a new password."""

"""Tenants: organizations, their members, and the invitations that lead into them."""

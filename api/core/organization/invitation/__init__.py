"""Invitations: links that make members, and give them the roles that their inviter may give."""

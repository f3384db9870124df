"""Signing in: passwords, verified addresses, sessions with rotating refresh tokens, and the keys of access tokens."""

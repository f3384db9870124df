"""Kills of flags are reported to those who answer for them."""

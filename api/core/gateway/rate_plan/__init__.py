"""Rate plans: how much callers may ask, in versions; at most one version of a slug is active."""

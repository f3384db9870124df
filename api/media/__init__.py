"""Files and films."""

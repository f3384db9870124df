"""Letters: taken once by their id, kept sealed until they have ended."""

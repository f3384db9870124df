"""How documents come into the index."""

"""Scores: what learners were given for a line item, every one of them, and which one counts."""

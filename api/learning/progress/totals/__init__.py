"""Totals: what the scores of a learner make of each category, and of the run."""

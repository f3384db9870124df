"""Places: the organization of each unit, course and run."""

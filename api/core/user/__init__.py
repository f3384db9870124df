"""People: signing up, and the profile that each has everywhere."""

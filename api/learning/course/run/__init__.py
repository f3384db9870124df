"""Runs: the offerings of a course, with their dates, pace, seats and the revision they show."""

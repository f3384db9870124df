"""Usage: how much callers, organizations and everybody asked, by hour and route."""

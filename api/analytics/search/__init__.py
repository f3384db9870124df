"""One box that finds what this person may see."""

"""Cases: things that a moderator has to look at."""

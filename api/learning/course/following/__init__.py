"""Following a working copy: its authors see at once that somebody else changed it."""

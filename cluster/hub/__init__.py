"""The `hub` command: set up, start, stop, look into and check LearningHub on one machine."""

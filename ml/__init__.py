"""Models and batch jobs."""

"""Forgetting revisions that nobody can reach any more, so that films and files of them can be deleted."""

"""What keeps a school honest and running."""

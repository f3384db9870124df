"""What is found, counted and recommended."""

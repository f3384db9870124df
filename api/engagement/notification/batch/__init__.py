"""What is sent together, and how much somebody gets."""

"""What an organization's administrators put on top of the answers to a question."""

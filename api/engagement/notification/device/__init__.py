"""The browsers that a person is told in."""

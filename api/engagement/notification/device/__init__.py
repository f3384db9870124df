"""The browsers and apps that a person is told in."""

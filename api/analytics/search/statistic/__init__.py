"""What an organization's members ask, counted without keeping who they are, and which answers they open."""

"""What a person was told."""

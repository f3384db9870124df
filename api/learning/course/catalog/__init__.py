"""The catalogue: what the world sees of published courses."""

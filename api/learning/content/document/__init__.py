"""What people find of published blocks: their titles and texts, as documents of the search."""

"""What is watched of films: ranges, clamped to the film and to the time that has passed, gathered in Redis before PostgreSQL."""

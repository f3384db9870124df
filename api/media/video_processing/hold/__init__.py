"""Legal holds of films: while one lasts, the film may be deleted and restored, but is not purged."""

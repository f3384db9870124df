"""Legal holds of files: while one lasts, the file may be deleted and restored, but is not purged."""

"""Files: resumable uploads of any size, checked and kept as assets until somebody claims them, and their delivery to editors."""

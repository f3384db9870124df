"""What is taught: the working copy of a course, its published revisions and its runs, and the catalogue that the world sees."""

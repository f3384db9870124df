"""What moderators see of courses, and what becomes of a course by their decisions."""

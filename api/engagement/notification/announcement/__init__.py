"""What staff tell the people of a course or an organization."""

"""Publication: freezing the working copy into revisions, now or at a time to come, and bringing old revisions back."""

"""Bulk: the staff of a run enters many scores by one request or file, and takes the grade book out as one."""

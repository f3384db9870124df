"""Bulk: the staff of a run enrols many people, or cancels their enrolments, by one request."""

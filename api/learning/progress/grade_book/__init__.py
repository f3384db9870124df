"""The grade book: learners by line items, a page at a time."""

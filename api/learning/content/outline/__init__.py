"""Frozen outlines and who may open what of them: the part of content that learners meet."""

"""What a run shows: the part of content that learners meet."""

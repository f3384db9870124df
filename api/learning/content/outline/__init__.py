"""Working outlines: made with their course, copied by a rerun, deleted when the course never came to be."""

"""Line items: what is graded in a run."""

"""What a course consists of: one tree of typed blocks, its immutable frozen states, and who may open which block of a run."""

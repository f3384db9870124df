"""How far a learner is: completed blocks, watched ranges, where to go on, and when a course is finished."""

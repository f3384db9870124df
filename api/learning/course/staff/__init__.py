"""Staff: who teaches a course. rbac holds what they may do, course who they are."""

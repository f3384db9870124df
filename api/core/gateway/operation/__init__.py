"""Operations: the state of long work, its report, and requests to cancel or undo it."""

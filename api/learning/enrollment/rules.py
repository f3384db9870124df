"""The states of an enrolment.

active <-> suspended        active, suspended, completed -> cancelled -> what it was before
active -> completed         completion is sticky: who comes back is completed still, and who is let in again too
"""

from api.learning.enrollment.contract import State

LEARNING: tuple[State, ...] = ("active", "completed")
"""In these states somebody may open what the run teaches."""
SEATED: tuple[State, ...] = ("active", "completed", "suspended")
"""In these states somebody takes a seat."""

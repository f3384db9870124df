"""The states of an enrolment.

active <-> suspended        active, suspended, completed -> cancelled -> what it was before
active -> completed         completion is final: a person who comes back, or is resumed, is completed again
"""

from api.learning.enrollment.contract import State

LEARNING: tuple[State, ...] = ("active", "completed")
"""In these states a person may open the content of the run."""
SEATED: tuple[State, ...] = ("active", "completed", "suspended")
"""In these states a person takes a seat."""

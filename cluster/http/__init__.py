"""HTTP as every service speaks it: routes, bodies, lists, conditions, problems, and the edge in front of them."""

from cluster.http.answers import Answer
from cluster.http.bodies import Body, OrganizationId, Patch, View
from cluster.http.conditions import IfMatch, set_etag
from cluster.http.edge import Edge, Limits
from cluster.http.events import EventStream
from cluster.http.holds import HoldView, NewHold
from cluster.http.kept import AnswersOfShown, KeptAnswers, reach_of_answer
from cluster.http.languages import Language
from cluster.http.once import once
from cluster.http.openapi import openapi
from cluster.http.paging import Page, Paging, Several
from cluster.http.rendering import problem_of, problem_response, text_response
from cluster.http.routing import Caller, LateApp, Router, build_app
from cluster.http.uses import UsesView

__all__ = [
    "Answer",
    "AnswersOfShown",
    "Body",
    "Caller",
    "Edge",
    "EventStream",
    "HoldView",
    "IfMatch",
    "KeptAnswers",
    "Language",
    "LateApp",
    "Limits",
    "NewHold",
    "OrganizationId",
    "Page",
    "Paging",
    "Patch",
    "Router",
    "Several",
    "UsesView",
    "View",
    "build_app",
    "once",
    "openapi",
    "problem_of",
    "problem_response",
    "reach_of_answer",
    "set_etag",
    "text_response",
]

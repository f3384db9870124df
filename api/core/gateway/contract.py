"""Problems of the gateway; it answers no calls."""

from cluster.base.problems import NotFound


class OperationNotFound(NotFound):
    title = "No such operation"


class ProblemTypeNotFound(NotFound):
    title = "No such type of problem"


class PageNotFound(NotFound):
    title = "No such page"

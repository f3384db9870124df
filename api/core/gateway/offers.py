"""What gateway contributes: who may see an operation, and how one follows it."""

from cluster.jobs.operations import TOPIC
from cluster.people.access import Permission
from cluster.people.calls import Answers
from cluster.people.door import PASSES, DoorSource
from cluster.people.topics import Topic, TopicSource
from cluster.people.usage import UsageKeeper

OFFERS = (
    Answers(TopicSource),
    Answers(DoorSource),
    Answers(UsageKeeper),
    Topic(name=TOPIC, title="How far long work is", permission="operation:read", kind="state"),
    Permission("operation:read", "See how long work goes on", ("self", "org_owner", "org_admin")),
    Permission("operation:undo", "Take back what long work did", ("self", "org_owner", "org_admin")),
    Permission("rate_plan:manage", "Set how much callers may ask", ("platform_admin",)),
    Permission("maintenance:plan", "Plan maintenance", ("platform_admin",)),
    Permission(PASSES, "Work while others are closed out by maintenance", ("platform_admin",)),
    Permission("usage:read", "See how much was asked", ("self", "org_owner", "org_admin", "platform_admin")),
    Permission("cors_origin:manage", "Let pages of other sites ask", ("org_owner", "org_admin", "platform_admin")),
    Permission("cors_origin:trust", "Let pages of other sites ask with cookies", ("platform_admin",)),
    Permission("operation:cancel", "Stop long work", ("self", "org_owner", "org_admin")),
)

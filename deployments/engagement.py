"""Engagement: what people are told, and how they talk to each other."""

from cluster.base.services import Service

SERVICES = (
    Service(name="email", areas=("emails", "senders", "letter-templates", "suppressions"), port=3038, rank=0),
    Service(
        name="notification",
        areas=("notifications", "notification-preferences", "devices", "staff-announcements"),
        port=3007,
        rank=99,
    ),
)

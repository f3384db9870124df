"""Core: who people are, what they may do, and the door."""

from cluster.base.services import Service

SERVICES = (
    Service(
        name="gateway",
        areas=("gateway", "operations", "live", "rate-plans", "rate-overrides", "maintenance-windows", "cors-origins"),
        paths=("/", "/docs", "/docs/", "/problems/", "/openapi.json", "/asyncapi.json", "/.well-known/"),
        port=3000,
        rank=99,
        replicas=(3, 10),
    ),
    Service(name="user", areas=("users", "privacy-requests"), port=3001, rank=3),
    Service(
        name="auth",
        areas=("sessions", "identities"),
        port=3002,
        rank=1,
        kernel_tables=("verification_keys", "revocations"),
    ),
    Service(name="rbac", areas=("roles", "grants"), port=3013, rank=0),
    Service(name="organization", areas=("organizations", "members", "invitations"), port=3014, rank=1),
)

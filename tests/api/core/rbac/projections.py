"""What rbac copies of the state of others; see `tests.platform.projections`."""

COPIED = {
    "places": "SELECT scope, scope_id, org_id FROM rbac.places WHERE org_id = $1 AND scope IN ('course', 'run')",
}
FORGET = ("DELETE FROM rbac.places WHERE org_id = $1 AND scope IN ('course', 'run')",)

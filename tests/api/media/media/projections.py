"""What media copies of the state of others; see `tests.platform.projections`."""

COPIED = {"places": "SELECT id, kind, course_id, org_id FROM media.places WHERE org_id = $1"}
FORGET = ("DELETE FROM media.places WHERE org_id = $1",)

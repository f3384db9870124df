"""What email copies of the state of others; see `tests.platform.projections`."""

COPIED = {"organizations": "SELECT suspended FROM email.organizations WHERE org_id = $1"}
FORGET = ("DELETE FROM email.organizations WHERE org_id = $1",)

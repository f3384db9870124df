"""What user copies of the state of others; see `tests.platform.projections`."""

COPIED = {"members": """SELECT member_id, org_id, user_id, active FROM "user".members WHERE org_id = $1"""}
FORGET = ("""DELETE FROM "user".members WHERE org_id = $1""",)

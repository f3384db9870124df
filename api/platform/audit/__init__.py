"""The audit trail: every event of every service, chained per organization so that a change is found."""

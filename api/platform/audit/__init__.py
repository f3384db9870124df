"""Who did what, where and when: every event of every service, chained per organization so that tampering shows."""

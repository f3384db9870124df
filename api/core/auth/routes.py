"""HTTP of auth: sessions and identities have routes of their own."""

from api.core.auth.identity.routes import router as identities
from api.core.auth.session.routes import router as sessions
from cluster.http import Router

router = Router("auth")
for part in (sessions, identities):
    router.include_router(part)

"""HTTP of rbac: the routes of its parts."""

from api.core.rbac.grant.routes import router as grants
from api.core.rbac.held_role.routes import router as held_roles
from api.core.rbac.role.routes import router as roles
from cluster.http import Router

router = Router("rbac")
for part in (grants, roles, held_roles):
    router.include_router(part)

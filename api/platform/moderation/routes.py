"""HTTP of moderation: its parts in one router."""

from api.platform.moderation.appeal.routes import router as appeals
from api.platform.moderation.case.routes import router as cases
from api.platform.moderation.clause.routes import router as clauses
from api.platform.moderation.decision.routes import router as decisions
from api.platform.moderation.exposure.routes import router as exposures
from api.platform.moderation.report.routes import router as reports
from api.platform.moderation.review.routes import router as reviews
from api.platform.moderation.rule.routes import router as rules
from cluster.http import Router

router = Router("moderation")
for part in (clauses, rules, reports, exposures, cases, reviews, decisions, appeals):
    router.include_router(part)

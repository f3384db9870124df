"""HTTP of feature_flag."""

from api.platform.feature_flag.evaluation.routes import router as evaluation
from api.platform.feature_flag.experiment.routes import router as experiments
from api.platform.feature_flag.flag.routes import router as flags
from cluster.http import Router

router = Router("feature_flag")
# Before /v1/flags/{flag_id}/...: what stands below `-` is no id.
router.include_router(evaluation)
router.include_router(flags)
router.include_router(experiments)

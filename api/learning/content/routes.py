"""HTTP of content: blocks of working outlines, and what runs show of frozen ones."""

from api.learning.content.block.routes import router as blocks
from api.learning.content.run.routes import router as runs
from cluster.http import Router

router = Router("content")
for part in (blocks, runs):
    router.include_router(part)

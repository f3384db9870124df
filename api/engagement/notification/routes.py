"""HTTP of notification: its parts in one router."""

from api.engagement.notification.announcement.routes import router as announcements
from api.engagement.notification.device.routes import router as devices
from api.engagement.notification.inbox.routes import router as inbox
from api.engagement.notification.preference.routes import router as preferences
from api.engagement.notification.texting.routes import router as phones
from cluster.http import Router

router = Router("notification")
router.include_router(inbox)
router.include_router(preferences)
router.include_router(phones)
router.include_router(devices)
router.include_router(announcements)

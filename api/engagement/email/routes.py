"""HTTP of email: the routes of its parts."""

from api.engagement.email.letter.routes import router as letters
from api.engagement.email.receiving.door import PATH, receive_mail
from api.engagement.email.sender.routes import router as senders
from api.engagement.email.suppression.routes import router as suppressions
from api.engagement.email.template.routes import router as letter_templates
from api.engagement.email.warm_up.routes import router as warm_ups
from cluster.http import Router

router = Router("email")
router.mount_asgi(PATH, receive_mail)
for part in (letters, senders, warm_ups, letter_templates, suppressions):
    router.include_router(part)

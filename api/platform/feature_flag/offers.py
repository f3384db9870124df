"""What feature_flag contributes: who may see, change and evaluate flags, and the rules for every process."""

from api.platform.feature_flag.notices import NOTICES
from cluster.people.access import Permission
from cluster.people.calls import Answers
from cluster.people.flags import FlagSource
from cluster.people.notices import NoticeSource

_STAFF = ("org_owner", "org_admin", "platform_admin")

OFFERS = (
    Answers(FlagSource),
    Answers(NoticeSource),
    *NOTICES,
    Permission("flag:read", "See flags and why they decide so", _STAFF),
    Permission("flag:edit", "Make, change, launch and kill flags", _STAFF),
    Permission("experiment:read", "See experiments and their results", _STAFF),
    Permission("experiment:edit", "Make, start, stop and decide experiments", _STAFF),
    Permission("flag:evaluate", "Ask what an organization's flags decide", ("member", *_STAFF)),
)

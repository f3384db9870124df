"""Offers of video_streaming: permissions to watch."""

from cluster.people.access import Permission

OFFERS = (
    Permission("playback:start", "Watch the films of one's courses", ("self",)),
    Permission("playback:read", "See one's own playbacks", ("self",)),
    Permission("playback:preview", "Watch a film outside its course", ("org_owner", "org_admin", "instructor")),
)

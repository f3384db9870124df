"""Offers of auth: permissions about one's own sessions and credentials."""

from cluster.people.access import AddressSource, Permission
from cluster.people.calls import Answers

OFFERS = (
    Answers(AddressSource),
    Permission("session:read", "See where one is signed in", roles=("self",)),
    Permission("session:end", "Sign out anywhere", roles=("self",)),
    Permission("identity:read", "See what one signs in with", roles=("self",)),
    Permission("identity:edit", "Change what one signs in with", roles=("self",)),
)

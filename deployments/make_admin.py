"""`./hub make-admin <user id>`: let somebody run the whole platform. The first one cannot be made by another."""

import asyncio
import sys
from uuid import UUID

from api.core.auth.contract import AuthCalls
from api.core.rbac.contract import RbacCalls
from cluster.base.ids import UserId
from cluster.host import close_process, open_process
from cluster.people.calls import client


async def make_admin(user_id: UserId) -> str | None:
    """Grant `platform_admin` and return the person's address; None when there is nobody with this id."""
    await open_process(("auth", "rbac"), name="make-admin", connections=2)
    try:
        address = await client(AuthCalls).address_of(user_id)
        if address is None:
            return None
        await client(RbacCalls).grant(user_id, "platform_admin", "platform", None, None)
        return address.email
    finally:
        await close_process()


def main() -> int:
    try:
        user_id = UserId(UUID(sys.argv[1]))
    except (IndexError, ValueError):
        sys.stderr.write("hub make-admin: name the id of a user; GET /v1/users/me tells it\n")
        return 2
    email = asyncio.run(make_admin(user_id))
    if email is None:
        sys.stderr.write(f"hub make-admin: there is no user {user_id} with a sign-in\n")
        return 1
    sys.stdout.write(f"{email} may now run the whole platform\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

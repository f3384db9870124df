"""Organizations that a request names: organization is asked whether they exist."""

from api.core.gateway.contract import OrganizationUnknown
from api.core.organization.contract import OrganizationCalls
from cluster.base.ids import OrgId
from cluster.people.calls import client


async def ensure_organization(org_id: OrgId | None) -> None:
    """Refuse what is meant for an organization that does not exist; None: none is named.

    A suspended one may be named: it keeps its rows, and what is set for it holds when it is resumed.

    Raises:
        OrganizationUnknown
    """
    if org_id is not None and await client(OrganizationCalls).find_organization(org_id) is None:
        raise OrganizationUnknown(
            "GET /v1/organizations lists the organizations: send the id of one of them", pointer="/organization_id"
        )

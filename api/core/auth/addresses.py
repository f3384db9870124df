"""E-mail addresses as people who sign up write them."""

from api.core.auth.contract import EmailInvalid
from cluster.base import addresses
from cluster.base.addresses import EmailAddress, key_of

__all__ = ["EmailAddress", "key_of", "parse_address"]


def parse_address(text: str) -> EmailAddress:
    """Parse an address without network.

    Raises:
        EmailInvalid
    """
    try:
        return addresses.parse_address(text)
    except ValueError as error:
        raise EmailInvalid(str(error), pointer="/email") from None

"""Who asks and what they may: identities, access, calls between services, personal data."""

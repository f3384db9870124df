"""Platform: what keeps a school honest and running."""

from cluster.base.services import Service

SERVICES = (Service(name="audit", areas=("audit-entries",), port=3033, rank=99),)

"""What content keeps about people: who wrote a block last. What authors write stands in their organization's name."""

from cluster.people.privacy import FreeText, PersonalData

PERSONAL_DATA = (
    PersonalData(
        table="content.blocks",
        person="written_by",
        columns=("written_by", "id", "course_id", "org_id"),
        purpose="tells whom to give the reasons of a moderator's decision, and who may appeal",
        kept="as long as the block",
        erasure="clear",
        clear_to={"written_by": None},
        organization="org_id",
        merge="move",
    ),
)

FREE_TEXT = (
    FreeText(
        table="content.documents", columns=("title", "path", "text"), holds="an organization's published material"
    ),
    FreeText(table="content.blocks", columns=("title", "body", "html"), holds="an organization's teaching material"),
    FreeText(table="content.frozen_outlines", columns=("blocks",), holds="an organization's published material"),
)

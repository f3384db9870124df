"""Content keeps nothing about single people: what authors write stands in their organization's name."""

from cluster.people.privacy import FreeText

FREE_TEXT = (
    FreeText(
        table="content.documents", columns=("title", "path", "text"), holds="an organization's published material"
    ),
    FreeText(table="content.blocks", columns=("title", "body", "html"), holds="an organization's teaching material"),
    FreeText(table="content.frozen_outlines", columns=("blocks",), holds="an organization's published material"),
)

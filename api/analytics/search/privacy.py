"""search keeps nothing about people in its tables: they name documents. What the index holds of a document goes with it: names of
members, too, when their profile or membership ends."""

from cluster.people.privacy import FreeText

FREE_TEXT = (
    FreeText(
        table="search.pins",
        columns=("query", "kinds"),
        holds="questions for which an organization puts documents on top, and of which kinds those are",
    ),
)

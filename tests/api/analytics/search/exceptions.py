"""What search does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    public={
        "search_search": "what is open to everybody is found by everybody",
        "search_suggest": "what is open to everybody is found by everybody",
    },
    other_status={"search_click 204": "it counts something, and has nothing to say"},
    no_idempotency_key={"search_click": "an answer counts once, however often it is told"},
    no_id_filter={"search_report": "questions have no ids"},
    no_uuid=dict.fromkeys(("Click.answer_id", "Results.answer_id"), "signed, so that nobody makes one"),
    no_plural={"search": "there is one search"},
    short_lists={
        "search_search": "facets and a correction come with the page",
        "search_suggest": "the few that fit below a box",
        "search_list_indexes": "two or three",
        "search_list_pins": "500 at most, which administrators read as one table",
    },
)

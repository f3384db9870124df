"""What course does otherwise than the invariants of the platform ask; see `tests.platform.exceptions`."""

from tests.platform.exceptions import Exceptions

EXCEPTIONS = Exceptions(
    public={
        "course_list_catalog": "published courses are open to everybody",
        "course_get_listing": "published courses are open to everybody",
        "course_list_categories": "published courses are open to everybody",
        "course_list_facets": "published courses are open to everybody",
        "course_list_runs": "of published courses",
        "course_get_run": "of published courses",
    },
    no_plural={
        "catalog": "there is one catalogue",
    },
    other_status={
        "course_rerun 202": "takes long: an operation",
    },
    short_lists={
        "course_list_staff": "the few who teach one course",
    },
    no_id_filter={
        "course_list_runs": "listed by course, of which they are few",
        "course_list_revisions": "a revision is a number, not an id",
    },
    may_scan={
        "catalog.store.LIST_CATEGORIES": "ten rows",
    },
)

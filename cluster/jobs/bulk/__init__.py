"""Bulk: one request for many rows, as an operation with a report for each row, that can be taken back.

    check -> apply -> over            all_or_nothing: check every row first, apply none when one fails
             apply -> over            each: rows that fail are reported, the others are applied
             apply -> take_back -> over    undone, or all_or_nothing met a failure that the check could not see

A problem that a plan raises ends the operation and stands in its answer, and so does the death of its job. Rows that stand
alone and are done by then can be undone; those of all_or_nothing are taken back.

A batch of rows, their lines in the ledger and the position in the table commit together. A worker that is killed goes
on after the last batch that committed: no row has its effect twice, and none is left out.
"""

from cluster.jobs.bulk.declare import (
    Apply,
    Bulk,
    BulkJob,
    BulkWork,
    CannotBeUndone,
    ChangedSince,
    Line,
    Outcome,
    RowsRefused,
    RowState,
    TakeBack,
)
from cluster.jobs.bulk.end import SWEPT_AT_ONCE, sweep
from cluster.jobs.bulk.run import advance
from cluster.jobs.bulk.start import MAX_ITEMS, start, undo
from cluster.jobs.bulk.store import list_lines

__all__ = [
    "MAX_ITEMS",
    "SWEPT_AT_ONCE",
    "Apply",
    "Bulk",
    "BulkJob",
    "BulkWork",
    "CannotBeUndone",
    "ChangedSince",
    "Line",
    "Outcome",
    "RowState",
    "RowsRefused",
    "TakeBack",
    "advance",
    "list_lines",
    "start",
    "sweep",
    "undo",
]

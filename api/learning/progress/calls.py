"""Answers `ProgressCalls`."""

from api.learning.progress.contract import LineItem, ProgressCalls, PutLineItem
from api.learning.progress.line_item import logic as line_items
from cluster.people import calls


class Calls(ProgressCalls):
    async def put_line_item(self, wanted: PutLineItem) -> LineItem:
        return await line_items.put_line_item(calls.caller("progress"), wanted)

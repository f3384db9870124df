"""Files that tests upload."""

import base64

from tests.harness import Person

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
"""A picture of one pixel."""


async def upload(
    person: Person, target: str, purpose: str, content: bytes = PNG, *, name: str = "one.png", finish: bool = True
) -> str:
    """Upload a file and return its id; it is checked when the hub settles. `finish=False`: its bytes do not come."""
    named = {"filename": name, "purpose": purpose, "target": target}
    metadata = ",".join(f"{key} {base64.b64encode(text.encode()).decode()}" for key, text in named.items())
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(content)), "Upload-Metadata": metadata}
    begun = await person.client.post("/v1/uploads", headers=headers)
    assert begun.status_code == 201, begun.text
    where = begun.headers["Location"]
    if finish:
        sending = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        sent = await person.client.patch(where, headers=sending, content=content)
        assert sent.status_code == 204, sent.text
    return where.rpartition("/")[2]

import re

import pytest

from cluster.base.settings import REPOSITORY
from deployments.generate import generated


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_derived_file_is_fresh() -> None:
    stale = [path.name for path, text in generated().items() if path.read_text() != text]
    assert stale == [], "run ./hub generate and commit what it writes"


def test_links_in_the_documents_lead_to_files() -> None:
    for page in [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"

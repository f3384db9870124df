import pytest

from deployments.generate import generated


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_derived_file_is_fresh() -> None:
    stale = [path.name for path, text in generated().items() if path.read_text() != text]
    assert stale == [], "run ./hub generate and commit what it writes"

"""The results page says what the JSON files say."""

from pathlib import Path

from benchmark_scripts import script

ROOT = Path(__file__).parent.parent


def test_the_results_page_is_what_the_json_files_give() -> None:
    assert (ROOT / "docs" / "results.md").read_text() == script("write_results").render()

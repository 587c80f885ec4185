"""The tables of docs/scaling.md are what the code computes."""

from benchmarks.scaling_page import PAGE, page


def test_the_page_has_the_numbers_of_the_code():
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "python -m benchmarks.scaling_page writes them again"
    assert text.count("| per_stratum | 10^6 |") == 3

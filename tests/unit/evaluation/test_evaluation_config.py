import pytest

from ltrec.evaluation.config import EvaluationConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": "sample"}, r"must be one of full, all, seen, sampled; got 'sample' \(did you mean 'sampled'\?\)"),
        ({"cutoffs": (10, 5)}, "cutoffs must be ascending"),
        ({"cutoffs": ()}, "cutoffs must be ascending"),
        ({"cutoffs": (5, 100)}, "raise it to 100"),
        ({"top_k": 0}, "top_k must be at least 1; got 0"),
        ({"bootstrap_samples": 0}, "bootstrap_samples must be at least 1; got 0"),
        ({"item_shares": (0.5, 1.0)}, r"item_shares must be below 1; got 1\.0 in \[0\.5, 1\.0\]"),
        ({"min_seeds": 1}, "min_seeds must be at least 2; got 1"),
        ({"head_margin": 5.0}, r"head_margin must be below 1; got 5\.0"),
    ],
)
def test_a_bad_value_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        EvaluationConfig(**options)


def test_defaults_are_the_protocol_of_the_design():
    config = EvaluationConfig()
    assert (config.candidates, config.filter_seen, config.bootstrap_samples, config.head_margin) == ("full", True, 10_000, 0.05)
    assert config.min_seeds == 3
    assert config.cutoffs == (5, 10, 20, 50)

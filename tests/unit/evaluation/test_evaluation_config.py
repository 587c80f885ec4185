import pytest

from ltrec.core.errors import UserError
from ltrec.evaluation.config import EvaluationConfig


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": "sample"}, r"evaluation\.candidates is 'sample'; it must be full or sampled \(did you mean 'sampled'\?\)"),
        ({"cutoffs": (10, 5)}, "must be positive and rising"),
        ({"cutoffs": ()}, "must be positive and rising"),
        ({"cutoffs": (5, 100)}, "raise it to 100"),
        ({"top_k": 0}, r"evaluation\.top_k is 0; it must be at least 1"),
        ({"bootstrap_samples": 0}, r"evaluation\.bootstrap_samples is 0"),
        ({"item_shares": (0.5, 1.0)}, "must rise between 0 and 1"),
        ({"min_seeds": 1}, r"evaluation\.min_seeds is 1; it must be at least 2, for one cannot tell a method from luck"),
        ({"head_margin": 5.0}, r"share between 0 and 1, for example 0\.05"),
    ],
)
def test_a_bad_value_is_named(options, message):
    with pytest.raises(UserError, match=message):
        EvaluationConfig(**options)


def test_defaults_are_the_protocol_of_the_design():
    config = EvaluationConfig()
    assert (config.candidates, config.filter_seen, config.bootstrap_samples, config.head_margin) == ("full", True, 10_000, 0.05)
    assert config.min_seeds == 3
    assert config.cutoffs == (5, 10, 20, 50)

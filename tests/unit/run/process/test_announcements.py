"""What a run says of itself: under quotas, how often each stratum's users are visited."""

from ltrec.data.stream.config import StreamConfig
from ltrec.data.stream.order.plan import Plan
from ltrec.run.progress.announcements import say_visits
from tests.support.shards import fake_manifest


def test_over_sampling_is_printed(capsys):
    manifest = fake_manifest([[30], [90]], block_rows=10)
    say_visits(Plan.of(manifest, 0, StreamConfig(batch_rows=20, lanes=10, composition="quota")))
    assert capsys.readouterr().out == "visits per user and epoch: stratum 0 2.00, stratum 1 0.67\n"


def test_the_natural_stream_prints_nothing(capsys):
    say_visits(Plan.of(fake_manifest([[30], [90]], block_rows=10), 0, StreamConfig(batch_rows=20, lanes=10)))
    assert capsys.readouterr().out == ""

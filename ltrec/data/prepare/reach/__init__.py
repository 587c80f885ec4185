"""Reach: how many links away from a user's history the target lies. It says beforehand what counting transitions can find at all.

Two different items are *linked* when some user consumed them one directly after the other in training. Events of a user at one
time (in whole seconds, as in the shards) have no order: the items of a tie are linked with each other, and with all items of the
ties before and after. So an event sees a *span*: its own tie and the two beside it; links have no direction. The distance of a
target is that of a shortest path of links from any item of the history (all stored events before the target) to it:

    0   in the history itself, a repeat
    1   one link
    2   two links
    3   beyond, or linked with nothing
   -1   not known: no target, no history, or a user who was not looked at

Only training events make links; whose history is looked at plays no part, so users kept out of training have a distance as well.
Everything here can be recomputed from the shards.

    blocks ─find_links──▶ Links: spans, and bitmaps of the most frequent items              ┐
    blocks ─draw_sample─▶ UserSample: a sample of users, with histories and targets         ┴─distances─▶ the file `reach/`

The sample is everybody, up to 100,000 users and 10 million events; beyond that, the users with the smallest keys, which are hashes
of their ids. The files mapped in the work folder take 16 bytes a training event; in memory an item takes 80 bytes, and the sample
about 200 MB. Time is bounded by a budget of visits to events; where it runs out, the users with the larger keys stay unknown. In
either case the shares are those of a random sample.
"""

from ltrec.data.prepare.reach.measure import measure_reach as measure_reach
from ltrec.data.prepare.reach.sample import sample_share as sample_share

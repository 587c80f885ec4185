"""Reach: how many links away the target is from the user's history. It is an upper bound on what counting transitions can find.

Two different items are *linked* if some user consumed them one directly after the other in training. Events of a user with the same
time (in whole seconds, as in the shards) have no order: the items of a tie are linked with each other, and with all items of the
ties before and after. These three ties are the *span* of an event; links have no direction. The distance of a target is the length
of a shortest path of links to it from any item of the history (all stored events before the target):

    0   in the history itself, a repeat
    1   one link
    2   two links
    3   more, or not linked at all
   -1   unknown: no target, no history, or a user outside the sample

Only training events make links, but any user's history can be measured, also that of held-out users. Everything here can be
recomputed from the shards.

    blocks ─find_links─▶ Links: spans, and bitmaps of the most frequent items               ┐
       └─────Sampler───▶ UserSample: a sample of users, with histories and targets          ┴─distances─▶ the file `reach/`

The sample is all users, up to 100,000 users and 10 million events; beyond that, the users with the smallest keys, which are hashes
of their ids. The memory-mapped files in the work folder take 16 bytes per training event; in memory, an item takes 80 bytes and the
sample about 200 MB. Time is bounded by a budget of visited events; when it is spent, the users with the larger keys remain unknown.
In both cases the measured users are a random sample.
"""

from ltrec.data.prepare.reach.measure import measure_reach as measure_reach
from ltrec.data.prepare.reach.sample import sample_share as sample_share

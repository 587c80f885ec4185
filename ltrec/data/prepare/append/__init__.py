"""Append a new day to a prepared data set: `ltrec prepare DAY --append PARENT --out OUT`.

Item ids never move, new items come after all others, and a user's events of the day come after those that the user had. Only these
users' rows are written anew; OUT shares all other files with PARENT (hard links), and lists of rows say which of their rows hold:

    parent      the data set that is appended to, checked and locked
    options     options of the parent, which hold for the day
    rows        where the parent's users are, and the rows of those who have new events
    old         what the parent counts of these users
    day         the day's events beside theirs
    late        those that are late or known are counted and dropped
    columns     columns of events, items and users: ids and statistics of the parent, and what is new
    strata      the parent's thresholds, and who crossed one
    vocabulary  old ids, then new items
    shards      old and new rows in the order of a full prepare
    summary     counts of the parent, minus old rows, plus new ones
    source      the input in the manifest
    blocks      the grown data set in a stream; measured: what is measured over all of it by choice
    pipeline    all of it

The result equals a full prepare of all events that takes item ids and thresholds from the parent (`prepare --like PARENT`): the
same users in the same order in the same row groups, so that training sees the same batches and its data digest is the same.
"""

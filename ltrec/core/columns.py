"""Every column name of the on-disk format, once."""

# Shard rows: one row per user.
USER_ID = "user_id"  # raw id, string
USER_KEY = "user_key"  # 64-bit hash of the raw id, int64, unique in a data set
STRATUM = "stratum"  # activity stratum by training events, int8; -1 = no training event
ACTIVITY = "activity"  # training events before the history cap, int32
TRAIN_EVENTS = "train_events"  # how many of the stored events may be trained on, int32: always a prefix
VALID_AT = "valid_at"  # position of the validation target in `items`, int32; -1 = none, 0 = cold (no history)
TEST_AT = "test_at"  # position of the test target in `items`, int32; -1 = none, 0 = cold (no history)
ITEMS = "items"  # list<int32>, item ids 1..V, oldest first
TIMES = "times"  # list<int64>, seconds since the epoch, never decreasing

# Columns that travel with the data (`ltrec.columns`), where a data set has some.
EVENT = "event."  # prefix of an event column, a list beside `items`
USER = "user."  # prefix of a user column
ITEM_PREFIX = "item."  # prefix of an item column while data are prepared; the table of items has plain names
TARGET = "target"  # in memory only: whether an event is a target that counts
ALL = "all"  # in a config, instead of names: every column that the data set has
TIME = "time"  # as an event column: the times, which every data set has
NO_TIME = -(2**63)  # a moment that is missing; NumPy's NaT is the same
WEIGHT = "weight"  # list<float32>, what each event counts for, >= 0

# Vocabulary rows: one row per item, ordered by id.
ITEM_ID = "item_id"  # raw id, string
ITEM = "item"  # dense id, int32, 1..V
TRAIN_COUNT = "train_count"  # training events of the item, int64

# Values of a categorical, one row per value, ordered by id.
ID = "id"  # int32, from 2
VALUE = "value"  # the word, string
COUNT = "count"  # how often training has it, int64

# Lists of rows: one row per run, in the order of the shard.
LAYER = "layer"  # file of the run, int32, numbered as in the shard
FIRST = "first"  # its first row there, int64
ROWS = "rows"  # its length, int64

# Reach rows: one row per sampled user, ordered by key.
REACH_VALID = "reach_valid"  # distance of the validation target from the history, int8; -1 = not known
REACH_TEST = "reach_test"  # the same of the test target

NO_STRATUM = -1
PAD = 0  # item id that stands for "no item"

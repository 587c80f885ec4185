"""Columns on their way through prepare. A column is called `event.<name>`, `item.<name>` or `user.<name>` in every table.

declared   what the config asks for, with its kind
parse      a reader's batch -> typed values; rows that do not fit are rejects
codes      words of categoricals -> codes in the order of the words; nothing is missing any more but by a value of its own
tally      the values that are trained on: counts of words, moments of numbers
tables     a table of items or users into the engine; vectors go by it
beside     which tables there are
items      the table of items in the order of their ids
values     words that are frequent enough -> ids, and the file of these words
"""

"""Columns in prepare. In every table, a column is called `event.<name>`, `item.<name>` or `user.<name>`.

declared     the declared columns with their kinds
parse        a reader's batch -> typed values; invalid rows are rejects
codes        categorical values -> codes in alphabetical order; missing values get the kind's `missing`
tally        statistics of training values: counts of categories, moments of numbers
side_tables  the files of the item and user tables
tables       an item or user table -> the engine; vectors go to a file of their own
items        the item table in the order of item ids
vocabulary   values that are frequent enough -> ids, and the file that lists them
describe     the schema of the manifest
earlier      the columns of another data set, whose ids and statistics stay
"""

"""The item table of an exported model.

precision.py   32 or 16 bit numbers, or 8 bit with a scale per row
loss.py        what that costs in ranking, by stratum
appended.py    items that the data set does not know, by their columns
"""

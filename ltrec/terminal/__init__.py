"""The terminal: lines, notes, tables and progress rows. Below the commands nothing else prints."""

"""The terminal: the one owner of the screen, its progress rows and tables. The only floor below the commands that prints."""

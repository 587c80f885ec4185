"""One module per command, each with a function of the command's name; imported only when the command is called."""

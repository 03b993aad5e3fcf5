"""The command line, each command as thin as an operator."""

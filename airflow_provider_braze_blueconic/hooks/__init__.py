"""The only code of this package that talks to a network."""

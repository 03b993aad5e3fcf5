"""Braze's REST API, one module for each thing that it can be asked."""

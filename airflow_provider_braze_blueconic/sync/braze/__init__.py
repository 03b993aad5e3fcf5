"""Braze, as the source and as the target: how a segment export is read, how a record is written, and which
values it takes.
"""

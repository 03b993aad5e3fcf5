"""A local Braze, BlueConic and S3 for demos, tests and users who have no keys yet.

It is written from the vendors' documents and shares nothing with the hooks or with ``sync``, so that a
misreading on one side is caught by the other.
Start it with ``braze-blueconic sandbox``, or in a test with :class:`~.server.Sandbox`.
"""

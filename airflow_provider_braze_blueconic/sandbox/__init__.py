"""A local Braze, BlueConic and S3 for demos, tests and users who have no keys yet.

It is written from the vendors' documents and shares nothing with the hooks or with ``sync``, so that a
misreading on one side is caught by the other; the demo alone knows both.
Each service has a folder: its state, what changes it, and the API over it. Beside them stand what they have in common
(the invented people, faults, the gate in front of each) and the sandbox as a whole.
Start it with ``braze-blueconic sandbox``, or in a test with :class:`~.server.Sandbox`.
"""

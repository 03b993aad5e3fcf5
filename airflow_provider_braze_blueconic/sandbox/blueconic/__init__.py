"""The sandbox's BlueConic: its tenant, its profiles, and REST API v2 over them."""

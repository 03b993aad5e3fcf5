"""The sandbox's Braze: its workspace, its users, and the REST API over them."""

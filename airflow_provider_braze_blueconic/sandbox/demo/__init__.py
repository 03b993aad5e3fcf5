"""The demo: the product runs against the sandbox, so this folder alone knows both."""

"""The endpoints beside the stack: thin Starlette functions over what the gateway already knows."""

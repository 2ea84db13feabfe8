"""The only rooms that know a host: what it lends (`protocol`), and one room for each (`diffusers`, `comfyui`)."""

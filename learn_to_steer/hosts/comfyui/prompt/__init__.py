"""Prompts in ComfyUI: their relations, and where their words are among the tokens."""

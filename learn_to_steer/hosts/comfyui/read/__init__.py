"""Evaluations in ComfyUI: one pass on the conditional branch, its maps recorded."""

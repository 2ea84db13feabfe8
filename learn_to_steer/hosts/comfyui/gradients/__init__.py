"""Gradients through models of ComfyUI."""

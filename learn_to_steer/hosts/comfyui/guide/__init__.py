"""Attention guidance in ComfyUI: a bias on the logits of the sampler's own pass, put in place where attention is hooked."""

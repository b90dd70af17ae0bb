"""Patches that change how a denoiser runs and leave its weights alone."""

"""Localization networks, one file each; `config.methods.networks` finds them here."""

"""The networks that localize, a file each: `config.networks` finds them here."""

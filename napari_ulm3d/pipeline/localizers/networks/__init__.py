"""The networks that localize, a file each: `config.methods.networks` finds them here."""

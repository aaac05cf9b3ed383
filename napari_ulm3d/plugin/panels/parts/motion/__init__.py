"""Parts of the *Clutter & PSF* and *Vessel maps* widgets: motion of the tissue."""

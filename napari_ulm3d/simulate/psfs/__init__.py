"""How the library of measured bubble images is made: probes, a wave simulator, measurements."""

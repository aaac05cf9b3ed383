"""Writer of VTK files for ParaView."""

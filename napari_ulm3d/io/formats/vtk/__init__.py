"""VTK files for ParaView, written."""

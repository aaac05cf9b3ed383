"""HDF5 and MATLAB v7.3 reader."""

"""What goes beyond MPI's own functions: `pkl5`, objects with big buffers in messages; `dtlib`, NumPy's dtypes."""

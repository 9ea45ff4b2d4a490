"""What PEs hold and multiply, one file for each family of circuits."""

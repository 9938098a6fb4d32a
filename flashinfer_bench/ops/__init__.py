"""What kernels compute: one module for each op_type, and everything known of its operations."""

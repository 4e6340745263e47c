"""How are runs computed? A loop claims them, leases them and watches over one child process for each."""

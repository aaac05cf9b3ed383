"""What a GPU would do, and does where there is one."""

"""L5: the kernel provisioner, jupyter_client's way in. Needs no Jupyter Server in the process."""

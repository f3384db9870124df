"""Who gets what, and whether it helped: flags that operators switch while the platform runs, and experiments on them."""

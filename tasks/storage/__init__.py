"""Where an OUT is: a folder of this machine, or a bucket with a folder of this machine before it."""

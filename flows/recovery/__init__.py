"""What is open brought to its end without a new purchase: by the gateway, by a bill, from what OUT holds."""

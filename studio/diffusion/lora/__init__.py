"""LoRA and its kin: files of every dialect, read as changes to the weights of the networks here."""

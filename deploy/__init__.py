"""What it takes to run the gateway somewhere: images, units, and what the packages in it are."""

"""What a training leaves on disk, so that it goes on where it was stopped, whatever stopped it."""

"""From the layers of a module tree to the definitions of what they compute."""

"""The command ``manyhands``: a customer of the public names, as any other program is."""

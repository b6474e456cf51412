"""The pretrained language model behind one small interface. Nothing here knows of users or items."""

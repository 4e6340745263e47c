"""pullplan: pull-based production planning for networks of many small local plants."""

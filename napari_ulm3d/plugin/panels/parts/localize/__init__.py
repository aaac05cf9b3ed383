"""Parts of the widget *Localize & track*: the method, the workers, how far it is, linking again."""
